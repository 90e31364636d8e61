import { DARK, LIGHT, type Palette } from '@/lib/plot/palette'
import { store, stored } from '@/lib/stored'

export type ThemeChoice = 'light' | 'dark' | 'system'

/** Light, dark, or as the system has it; `theme-first.js` applies the same choice before paint. */
class Theme {
  #choice = $state<ThemeChoice>('system')
  #systemDark = $state(false)
  #printing = $state(false)

  constructor() {
    const saved = stored('theme')
    if (saved === 'light' || saved === 'dark') this.#choice = saved
    const dark = window.matchMedia('(prefers-color-scheme: dark)')
    this.#systemDark = dark.matches
    dark.addEventListener('change', () => (this.#systemDark = dark.matches))
    window.addEventListener('beforeprint', () => (this.#printing = true))
    window.addEventListener('afterprint', () => (this.#printing = false))
  }

  get choice(): ThemeChoice {
    return this.#choice
  }

  set choice(choice: ThemeChoice) {
    this.#choice = choice
    store('theme', choice === 'system' ? null : choice)
    if (choice === 'system') delete document.documentElement.dataset['theme']
    else document.documentElement.dataset['theme'] = choice
  }

  get isDark(): boolean {
    if (this.#printing) return false
    return this.#choice === 'system' ? this.#systemDark : this.#choice === 'dark'
  }

  /** Colours for what is drawn on a canvas and cannot follow the style sheet. */
  get palette(): Palette {
    return this.isDark ? DARK : LIGHT
  }
}

export const theme = new Theme()
