import { onSessionEnd, query } from '@/lib/api/client'
import { BootDocument, type Boot } from '@/lib/api/documents'
import { asProblem, type Problem } from '@/lib/api/problem'
import { Catalog } from '@/lib/metrics/catalog'
import { pageMeta } from '@/lib/page-meta'

/** Who is signed in and what the site measures; loaded once per visit. */
class Session {
  #boot = $state.raw<Boot | null>(null)
  #problem = $state.raw<Problem | null>(null)
  #ended = $state(false)
  #tellKnown: () => void = () => undefined
  /** Kept once it is known who the reader is and what is measured. */
  readonly known = new Promise<void>((resolve) => (this.#tellKnown = resolve))
  readonly #catalog = $derived(this.#boot && new Catalog(this.#boot))

  constructor() {
    onSessionEnd((ended) => (this.#ended = ended))
  }

  async load(): Promise<void> {
    this.#problem = null
    try {
      const boot = await query(BootDocument, {})
      // Whoever waits goes on before the page is drawn with it.
      this.#tellKnown()
      this.#boot = boot
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
    return this.#boot?.me?.roles ?? pageMeta.roles
  }

  /** Whether name and roles are known. */
  get isKnown(): boolean {
    return this.#boot !== null || pageMeta.roles.length > 0
  }
}

export const session = new Session()
