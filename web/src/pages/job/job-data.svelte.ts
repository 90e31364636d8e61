import { query } from '@/lib/api/client'
import { JobDocument, type JobFacts } from '@/lib/api/documents'
import { asProblem, isAbort, problem, type Problem } from '@/lib/api/problem'
import { live } from '@/lib/live/events.svelte'

/** One job, kept current. */
export class JobData {
  #job = $state.raw<JobFacts | null>(null)
  #problem = $state.raw<Problem | null>(null)
  readonly #controller = new AbortController()
  #loads = 0

  constructor(readonly id: string) {}

  get job(): JobFacts | null {
    return this.#job
  }

  get problem(): Problem | null {
    return this.#problem
  }

  /** Of loads that run at the same time the last one counts: the others may be older. */
  async load(): Promise<void> {
    const load = ++this.#loads
    try {
      const { job } = await query(JobDocument, { id: this.id }, this.#controller.signal)
      if (load !== this.#loads) return
      if (job === null) throw problem('not-found')
      this.#job = job
      this.#problem = null
      live.noteData()
    } catch (error) {
      if (load === this.#loads && !isAbort(error)) this.#problem = asProblem(error)
    }
  }

  close(): void {
    this.#controller.abort()
  }
}

/** A text of the job's metadata; null when it has none. Shown as text, never as markup. */
export function metaText(job: JobFacts, key: string): string | null {
  const meta = job.metaData
  if (typeof meta !== 'object' || meta === null) return null
  const value = (meta as Record<string, unknown>)[key]
  return typeof value === 'string' && value !== '' ? value : null
}
