/** A choice kept in this browser; null when there is none or the browser keeps nothing. */
export function stored(name: string): string | null {
  try {
    return localStorage.getItem(`cc.${name}`)
  } catch {
    return null
  }
}

export function store(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(`cc.${name}`)
    else localStorage.setItem(`cc.${name}`, value)
  } catch {
    // Private windows may refuse: the choice lasts as long as the page.
  }
}
