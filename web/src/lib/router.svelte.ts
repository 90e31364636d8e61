/** Where the reader is. */
export type Route =
  | { page: 'home' }
  | { page: 'jobs'; user: string | null }
  | { page: 'job'; id: string }
  | { page: 'unknown' }

/** The page an address leads to. Addresses of old, with and without trailing slash. */
export function routeOf(path: string): Route {
  if (path === '/' || path === '') return { page: 'home' }
  const [, area, kind, name, rest] = /^\/(\w+)\/(\w+)(?:\/([^/]*))?\/?(.*)$/.exec(path) ?? []
  if (area !== 'monitoring' || rest) return { page: 'unknown' }
  if (kind === 'jobs' && !name) return { page: 'jobs', user: null }
  if (kind === 'user' && name) return { page: 'jobs', user: decode(name) }
  if (kind === 'job' && /^\d+$/.test(name ?? '')) return { page: 'job', id: name ?? '' }
  return { page: 'unknown' }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export const userPath = (name: string): string => `/monitoring/user/${encodeURIComponent(name)}`
export const jobPath = (id: number | string): string => `/monitoring/job/${id}`
export const JOBS_PATH = '/monitoring/jobs/'

/** Support and administrators: they come for the jobs of others. */
export const isStaff = (roles: readonly string[]): boolean =>
  roles.includes('admin') || roles.includes('support')

/** Home is the reader's own jobs; staff, who seldom have any, see those of all. */
export const homePath = (user: string, roles: readonly string[]): string =>
  user === '' || isStaff(roles) ? JOBS_PATH : userPath(user)

interface Entry {
  /** Names a history entry, so that what a page looked like can be found again. */
  key: string
}

const newKey = (): string => Math.random().toString(36).slice(2, 10)

/** The address of the page and the way to change it; one per tab. */
class Router {
  #path = $state(location.pathname)
  #search = $state(location.search)
  #key = $state('')
  /** True from a step back or forward until the next deliberate one. */
  #returning = $state(false)
  /** The first address, whose status the server has told. */
  readonly first = location.pathname + location.search

  constructor() {
    const entry = history.state as Entry | null
    this.#key = entry?.key ?? newKey()
    // The browser restored this entry itself (reload, return from another site).
    this.#returning = entry?.key !== undefined
    history.replaceState({ key: this.#key }, '')
    history.scrollRestoration = 'manual'
    window.addEventListener('popstate', (event) => this.#onPop(event))
    document.addEventListener('click', (event) => this.#onClick(event))
  }

  get path(): string {
    return this.#path
  }

  get search(): string {
    return this.#search
  }

  get key(): string {
    return this.#key
  }

  get returning(): boolean {
    return this.#returning
  }

  get route(): Route {
    return routeOf(this.#path)
  }

  /** Goes to an address of this site: a new step that "back" undoes. */
  go(address: string): void {
    const url = new URL(address, location.href)
    const changesPage = url.pathname !== this.#path
    this.#key = newKey()
    this.#returning = false
    history.pushState({ key: this.#key }, '', url)
    this.#read(url)
    if (changesPage) this.#arrive()
  }

  /** Changes the address without a new step. */
  replace(address: string): void {
    const url = new URL(address, location.href)
    if (url.href === location.href) return
    history.replaceState({ key: this.#key }, '', url)
    this.#read(url)
  }

  #read(url: URL | Location): void {
    this.#path = url.pathname
    this.#search = url.search
  }

  #onPop(event: PopStateEvent): void {
    const changesPage = location.pathname !== this.#path
    this.#key = (event.state as Entry | null)?.key ?? newKey()
    this.#returning = true
    this.#read(location)
    if (changesPage) this.#focusPage()
  }

  /** A new page starts at its top, and the keyboard at its beginning as after a load. */
  #arrive(): void {
    window.scrollTo(0, 0)
    this.#focusPage()
  }

  #focusPage(): void {
    document.getElementById('main')?.focus({ preventScroll: true })
  }

  #onClick(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    const target = event.target instanceof Element ? event.target.closest('a[href]') : null
    if (!(target instanceof HTMLAnchorElement) || target.target || target.download) return
    if (target.dataset['reload'] !== undefined) return
    const url = new URL(target.href)
    if (url.origin !== location.origin || routeOf(url.pathname).page === 'unknown') return
    if (url.hash !== '' && url.pathname === this.#path && url.search === this.#search) return
    event.preventDefault()
    this.go(url.href)
  }
}

export const router = new Router()
