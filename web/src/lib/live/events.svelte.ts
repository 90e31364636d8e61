import { untrack } from 'svelte'
import { isSignedOut, noteServerTime, send } from '@/lib/api/client'
import { pageMeta } from '@/lib/page-meta'

/** One change of a job, as the server pushes it. */
export interface JobEvent {
  position: number
  kind: 'started' | 'updated' | 'stopped' | 'archived' | 'deleted'
  /** Database id. */
  id: number
  cluster: string
  jobId: number
  user: string
  state: string
}

export interface LiveListener {
  onJob(event: JobEvent): void
  /** Changes may have been missed: fetch again what is on the screen. */
  onResync(): void
}

export type LiveStatus = 'connecting' | 'live' | 'paused' | 'lost'

/** Waits between attempts, ms: soon at first, then rarely. */
const BACK_OFF = [500, 1000, 2000, 5000, 10_000, 30_000]
/** Without any sign of life for this long, ms, the connection is tried out. */
const SILENCE = 45_000

/**
 * The one event stream of this tab: open while somebody listens and the tab is seen, closed while
 * it is hidden or paused, and opened again after a loss.
 */
class Live {
  #status = $state<LiveStatus>('connecting')
  #asOf = $state.raw<Date | null>(null)
  #paused = $state(false)
  readonly #listeners = new Set<LiveListener>()
  #source: EventSource | null = null
  #attempt = 0
  #retry: ReturnType<typeof setTimeout> | undefined
  #silence: ReturnType<typeof setTimeout> | undefined
  /**
   * Where the first stream begins: pages ask for their data before it is open, also while their tab
   * is still hidden. Empty: what is shown has to be fetched again once a stream is open.
   */
  #position = pageMeta.position

  constructor() {
    document.addEventListener('visibilitychange', () => this.#update())
    window.addEventListener('online', () => this.#reconnectNow())
    window.addEventListener('offline', () => this.#lose())
    window.addEventListener('pagehide', () => this.#close())
    window.addEventListener('pageshow', () => this.#update())
  }

  get status(): LiveStatus {
    return this.#paused ? 'paused' : this.#status
  }

  get paused(): boolean {
    return this.#paused
  }

  set paused(paused: boolean) {
    this.#paused = paused
    this.#update()
  }

  /** When the data on the screen was last known to be current. */
  get asOf(): Date | null {
    return this.#asOf
  }

  /** To be called whenever data of a live page has arrived. */
  noteData(): void {
    this.#asOf = new Date()
  }

  /** True when pages should fetch by the clock as well: seen, not paused, and somebody is signed in. */
  get active(): boolean {
    return !this.#paused && !isSignedOut() && document.visibilityState === 'visible'
  }

  listen(listener: LiveListener): () => void {
    this.#listeners.add(listener)
    // Called from effects, which must not run again for what is read and changed here.
    untrack(() => this.#update())
    return () => {
      this.#listeners.delete(listener)
      untrack(() => this.#update())
    }
  }

  #update(): void {
    const wanted = this.#listeners.size > 0 && this.active
    if (wanted && this.#source === null) this.#open()
    if (!wanted) this.#close()
  }

  #open(): void {
    clearTimeout(this.#retry)
    if (this.#status !== 'lost') this.#status = 'connecting'
    const after = this.#position
    const source = new EventSource(after === '' ? '/events' : `/events?after=${after}`)
    this.#source = source
    let greeted = false
    const alive = (): void => this.#expectLife(source)
    alive()
    source.addEventListener('hello', (event) => {
      alive()
      const hello = parse<{ serverTime?: number }>(event)
      if (hello?.serverTime) noteServerTime(hello.serverTime)
      // The server says hello again where it goes on after something missed.
      if (!greeted) this.#connected(after !== '')
      greeted = true
    })
    source.addEventListener('job', (event) => {
      alive()
      const job = parse<JobEvent>(event)
      if (job) for (const listener of this.#listeners) listener.onJob(job)
    })
    source.addEventListener('ping', alive)
    source.addEventListener('resync', () => {
      alive()
      this.#resync()
    })
    source.addEventListener('error', () => {
      if (this.#source === source) this.#lose()
    })
  }

  /**
   * A cut cable closes no connection, and comments that keep a stream alive are not shown to
   * scripts: after a long silence a small question finds out.
   */
  #expectLife(source: EventSource): void {
    if (this.#source !== source) return
    clearTimeout(this.#silence)
    this.#silence = setTimeout(() => void this.#probe(source), SILENCE)
  }

  async #probe(source: EventSource): Promise<void> {
    try {
      await send('query Alive { __typename }', {}, AbortSignal.timeout(10_000))
      this.#expectLife(source)
    } catch {
      if (this.#source === source) this.#lose()
    }
  }

  #connected(tellsAll: boolean): void {
    this.#attempt = 0
    this.#position = ''
    this.#status = 'live'
    if (!tellsAll) this.#resync()
  }

  #resync(): void {
    for (const listener of this.#listeners) listener.onResync()
  }

  #lose(): void {
    this.#close()
    if (this.#listeners.size === 0) return
    this.#status = 'lost'
    if (!this.active) return
    const wait = BACK_OFF[Math.min(this.#attempt, BACK_OFF.length - 1)] ?? 30_000
    this.#attempt += 1
    // Tabs that lost the same server do not come back in the same instant.
    this.#retry = setTimeout(() => this.#update(), wait * (0.75 + Math.random() / 2))
  }

  #reconnectNow(): void {
    if (this.#status !== 'lost') return
    clearTimeout(this.#retry)
    this.#update()
  }

  #close(): void {
    clearTimeout(this.#retry)
    clearTimeout(this.#silence)
    this.#source?.close()
    this.#source = null
  }
}

function parse<T>(event: Event): T | null {
  try {
    return JSON.parse((event as MessageEvent<string>).data) as T
  } catch {
    return null
  }
}

export const live = new Live()
