import { nextFrame } from '@/lib/frames'

/** Rows of a new list that are drawn in one frame. */
const FIRST_ROWS = 8
const MOST_ROWS = 64

/** Which rows of a long list are on the screen, when all rows of it are equally high. */
export class VirtualRows {
  #top = $state(0)
  #height = $state(window.innerHeight)
  #offset = $state(0)
  #rowHeight = $state(1)
  #count = $state(0)
  #headHeight = $state(0)
  /** Rows that are built yet: a new list is built over some frames, top first. */
  #budget = $state(FIRST_ROWS)

  /** Rows beyond the edges that are drawn as well. */
  constructor(private readonly overscan = 6) {}

  set rowHeight(height: number) {
    this.#rowHeight = Math.max(height, 1)
  }

  get rowHeight(): number {
    return this.#rowHeight
  }

  set count(count: number) {
    this.#count = count
  }

  /** Height of what covers the top of the window, px. */
  set headHeight(height: number) {
    this.#headHeight = height
  }

  /** Position of the window, px, as last measured. */
  get top(): number {
    return this.#top
  }

  /** First row that is seen. */
  get firstVisible(): number {
    const row = Math.floor((this.#top + this.#headHeight - this.#offset) / this.#rowHeight)
    return Math.min(Math.max(row, 0), Math.max(this.#count - 1, 0))
  }

  get lastVisible(): number {
    const row = Math.ceil((this.#top + this.#height - this.#offset) / this.#rowHeight)
    return Math.min(Math.max(row, this.firstVisible + 1), this.#count)
  }

  /** First row that is drawn. */
  get start(): number {
    return Math.max(0, this.firstVisible - this.overscan)
  }

  /** One past the last row that is drawn. */
  get end(): number {
    return Math.min(this.#count, this.lastVisible + this.overscan)
  }

  /** False for rows of a new list that still stand empty, at their full size. */
  isBuilt(row: number): boolean {
    return row < this.start + this.#budget
  }

  /** Builds a new list bit by bit; to be called when its first rows are there. */
  async grow(): Promise<void> {
    this.#budget = FIRST_ROWS
    while (this.#budget < MOST_ROWS) {
      await nextFrame()
      this.#budget += FIRST_ROWS
    }
    this.#budget = Infinity
  }

  get before(): number {
    return this.start * this.#rowHeight
  }

  get after(): number {
    return Math.max(0, this.#count - this.end) * this.#rowHeight
  }

  /** Reads the window's position; `list` is the element that holds the rows. */
  measure(list: HTMLElement): void {
    this.#top = window.scrollY
    this.#height = window.innerHeight
    this.#offset = list.getBoundingClientRect().top + window.scrollY
  }

  /** Brings a row to the top of what is seen. */
  scrollTo(row: number): void {
    const top = this.#offset + row * this.#rowHeight - this.#headHeight
    window.scrollTo(0, row === 0 ? 0 : Math.max(0, top))
    this.#top = window.scrollY
  }

  /** Moves the window by rows, so that what is seen stays where it is when rows come before it. */
  shift(rows: number): void {
    window.scrollBy(0, rows * this.#rowHeight)
    this.#top = window.scrollY
  }
}

let rem: number | null = null
window.addEventListener('resize', () => (rem = null))

/** Pixels of one `rem`: rows grow with the reader's text size. Measured again after a resize. */
export function remPixels(): number {
  rem ??= Number.parseFloat(getComputedStyle(document.documentElement).fontSize) || 16
  return rem
}
