/**
 * Gathers keys and hands them on together: soon after the first, and never more often than once
 * per `interval` ms; while a hand-over runs, what comes in waits for the next.
 */
export class Batch<Key> {
  readonly #keys = new Set<Key>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #last = -Infinity
  #running = false
  #closed = false

  constructor(
    private readonly flush: (keys: Key[]) => Promise<void>,
    private readonly interval = 1000,
    private readonly delay = 100,
    private readonly now: () => number = () => performance.now(),
  ) {}

  add(key: Key): void {
    if (this.#closed) return
    this.#keys.add(key)
    this.#schedule()
  }

  close(): void {
    this.#closed = true
    this.#keys.clear()
    clearTimeout(this.#timer)
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#running || this.#keys.size === 0) return
    const wait = Math.max(this.delay, this.#last + this.interval - this.now())
    this.#timer = setTimeout(() => void this.#run(), wait)
  }

  async #run(): Promise<void> {
    this.#timer = undefined
    const keys = [...this.#keys]
    this.#keys.clear()
    this.#last = this.now()
    this.#running = true
    try {
      await this.flush(keys)
    } finally {
      this.#running = false
      if (!this.#closed) this.#schedule()
    }
  }
}
