interface Parts {
  prefix: string
  digits: string
  suffix: string
}

function split(host: string): Parts | null {
  const match = /^(.*?)(\d+)(\D*)$/.exec(host)
  if (!match) return null
  return { prefix: match[1] ?? '', digits: match[2] ?? '', suffix: match[3] ?? '' }
}

/** `f0951,f0952,f0954` as `f[0951-0952,0954]`: the form schedulers read. */
export function compressHosts(hosts: readonly string[]): string {
  const groups = new Map<string, { parts: Parts; numbers: Set<string> }>()
  const single: string[] = []
  for (const host of hosts) {
    const parts = split(host)
    if (parts === null) {
      single.push(host)
      continue
    }
    const key = `${parts.prefix}\0${parts.digits.length}\0${parts.suffix}`
    const group = groups.get(key) ?? { parts, numbers: new Set<string>() }
    group.numbers.add(parts.digits)
    groups.set(key, group)
  }
  const texts = [...groups.values()].map(({ parts, numbers }) => {
    const sorted = [...numbers].sort()
    if (sorted.length === 1) return `${parts.prefix}${sorted[0]}${parts.suffix}`
    return `${parts.prefix}[${ranges(sorted)}]${parts.suffix}`
  })
  return [...texts, ...new Set(single)].join(',')
}

/** `0-9,12`: numbers as ranges. */
export function compressNumbers(numbers: readonly number[]): string {
  return ranges([...new Set(numbers)].sort((a, b) => a - b).map(String))
}

/** Sorted digit texts as ranges. */
function ranges(sorted: readonly string[]): string {
  const out: string[] = []
  let first = sorted[0] ?? ''
  let last = first
  const flush = (): void => {
    out.push(first === last ? first : `${first}-${last}`)
  }
  for (const digits of sorted.slice(1)) {
    if (Number(digits) === Number(last) + 1) {
      last = digits
      continue
    }
    flush()
    first = digits
    last = digits
  }
  flush()
  return out.join(',')
}

const order = new Intl.Collator('en', { numeric: true })

/** Compares host names and ids as people count: `n2` before `n10`. */
export function compareNatural(a: string, b: string): number {
  return order.compare(a, b)
}
