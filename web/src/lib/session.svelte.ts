import { onSignedOut, query } from '@/lib/api/client'
import { BootDocument, type Boot } from '@/lib/api/documents'
import { asProblem, type Problem } from '@/lib/api/problem'
import { Catalog } from '@/lib/metrics/catalog'
import { pageMeta } from '@/lib/page-meta'

/** Who is signed in and what the site measures; loaded once per visit. */
class Session {
  #boot = $state.raw<Boot | null>(null)
  #problem = $state.raw<Problem | null>(null)
  #ended = $state(false)
  readonly #catalog = $derived(this.#boot && new Catalog(this.#boot))

  constructor() {
    onSignedOut(() => (this.#ended = true))
  }

  async load(): Promise<void> {
    this.#problem = null
    try {
      this.#boot = await query(BootDocument, {})
    } catch (error) {
      this.#problem = asProblem(error)
    }
  }

  get catalog(): Catalog | null {
    return this.#catalog
  }

  get problem(): Problem | null {
    return this.#problem
  }

  /** True once a request was refused because nobody is signed in any more. */
  get ended(): boolean {
    return this.#ended
  }

  /** Empty until it is known. */
  get username(): string {
    return this.#boot?.me?.username ?? pageMeta.user
  }

  get name(): string {
    return this.#boot?.me?.name || this.username
  }

  get roles(): readonly string[] {
    return this.#boot?.me?.roles ?? []
  }

  /** Support and administrators: they come for the jobs of others. */
  get isStaff(): boolean {
    return this.roles.includes('admin') || this.roles.includes('support')
  }

  get isKnown(): boolean {
    return this.#boot !== null
  }
}

export const session = new Session()
