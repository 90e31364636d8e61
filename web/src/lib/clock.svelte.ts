import { serverNow } from '@/lib/api/client'

/** The time of day by the server, renewed every ten seconds while anybody looks. */
class Clock {
  #now = $state(serverNow())

  constructor() {
    setInterval(() => {
      if (document.visibilityState === 'visible') this.#now = serverNow()
    }, 10_000)
    document.addEventListener('visibilitychange', () => (this.#now = serverNow()))
  }

  /** Unix seconds. */
  get now(): number {
    return this.#now
  }
}

export const clock = new Clock()
