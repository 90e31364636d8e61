/** Texts for screen readers, spoken politely by the one live region of the page. */
class Announcer {
  #text = $state('')
  #lastUpdate = 0

  get text(): string {
    return this.#text
  }

  /** Answers to something the reader did. */
  say(text: string): void {
    this.#text = text
  }

  /** News that came by itself: at most once in ten seconds, the rest is left out. */
  sayUpdate(text: string): void {
    const now = Date.now()
    if (now - this.#lastUpdate < 10_000) return
    this.#lastUpdate = now
    this.#text = text
  }
}

export const announcer = new Announcer()
