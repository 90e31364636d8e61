import { query } from '@/lib/api/client'
import {
  JobsDocument,
  JobsTwoPagesDocument,
  type JobFilterInput,
  type JobRow,
  type OrderInput,
} from '@/lib/api/documents'
import { asProblem, isAbort, type Problem } from '@/lib/api/problem'
import { live } from '@/lib/live/events.svelte'
import { jobsQuestion, PAGE_SIZE, pagesOf } from './jobs-question'

/** Pages kept; those farthest from the screen go first. */
const MAX_PAGES = 40

/** What a job list showed, so that "back" finds it as it was left. */
export interface Snapshot {
  key: string
  pages: Map<number, JobRow[]>
  count: number
  /** Position of the window, px. */
  top: number
}

/**
 * The rows of one filter and order, loaded by the page as they come into sight.
 *
 * Row numbers count from 0. Requests of pages nobody looks at any more are cancelled.
 */
export class JobsData {
  #pages = $state.raw<ReadonlyMap<number, JobRow[]>>(new Map())
  #count = $state<number | null>(null)
  #problem = $state.raw<Problem | null>(null)
  #busy = $state(false)
  /** True while the rows are still those of the question before. */
  #outdated = $state(false)
  #key = ''
  #filter: JobFilterInput[] = []
  #order: OrderInput | null = null
  readonly #running = new Map<number, AbortController>()
  readonly #loads = new Set<Promise<boolean>>()

  /** `onRows` is told of a page (counted from 0) before it is shown. */
  constructor(private readonly onRows: (page: number, rows: JobRow[]) => void = () => undefined) {}

  get count(): number | null {
    return this.#count
  }

  get problem(): Problem | null {
    return this.#problem
  }

  get busy(): boolean {
    return this.#busy
  }

  get outdated(): boolean {
    return this.#outdated
  }

  row(index: number): JobRow | null {
    return this.#pages.get(Math.floor(index / PAGE_SIZE))?.[index % PAGE_SIZE] ?? null
  }

  rows(from: number, to: number): JobRow[] {
    const rows: JobRow[] = []
    for (let index = from; index < to; index += 1) {
      const row = this.row(index)
      if (row !== null) rows.push(row)
    }
    return rows
  }

  /** Row of a job; -1 when it is not among those loaded. */
  indexOf(id: string): number {
    for (const [page, rows] of this.#pages) {
      const at = rows.findIndex((row) => String(row.id) === id)
      if (at >= 0) return page * PAGE_SIZE + at
    }
    return -1
  }

  /** Asks another question; the old rows stay until its answer is there. */
  ask(filter: JobFilterInput[], order: OrderInput): void {
    const key = JSON.stringify([filter, order])
    if (key === this.#key) return
    this.#cancel()
    this.#key = key
    this.#filter = filter
    this.#order = order
    this.#problem = null
    this.#outdated = true
  }

  snapshot(top: number): Snapshot | null {
    if (this.#count === null || this.#outdated) return null
    return { key: this.#key, pages: new Map(this.#pages), count: this.#count, top }
  }

  /** Shows what a snapshot of the same question holds; says whether it was of the same. */
  restore(snapshot: Snapshot): boolean {
    if (snapshot.key !== this.#key) return false
    this.#pages = new Map(snapshot.pages)
    this.#count = snapshot.count
    this.#outdated = false
    return true
  }

  /** Loads what is missing of these rows, and cancels what lies outside. */
  async ensure(from: number, to: number): Promise<void> {
    const wanted = pagesOf(from, to)
    const needed = new Set(wanted.map((page) => this.#running.get(page)))
    for (const controller of this.#running.values()) {
      if (!needed.has(controller)) controller.abort()
    }
    const missing = wanted.filter(
      (page) => (this.#outdated || !this.#pages.has(page)) && !this.#running.has(page),
    )
    await this.#loadAll(missing)
  }

  /** Loads these rows again, in place; pages elsewhere are loaded again when they are seen. */
  async refresh(from: number, to: number): Promise<void> {
    const wanted = pagesOf(from, to)
    if (!(await this.#loadAll(wanted))) return
    this.#pages = new Map([...this.#pages].filter(([page]) => wanted.includes(page)))
  }

  /**
   * Loads single jobs again. Says whether all of them are still in the list.
   *
   * Rows that are on their way come first: they may be older than what made somebody call this.
   */
  async refreshJobs(ids: readonly string[]): Promise<boolean> {
    await Promise.all(this.#loads)
    const known = ids.filter((id) => this.indexOf(id) >= 0)
    if (known.length === 0) return true
    const key = this.#key
    const { jobs } = await query(JobsDocument, {
      filter: [...this.#filter, { dbId: known }],
      page: { itemsPerPage: known.length, page: 1 },
      order: this.#order,
    })
    if (key !== this.#key) return true
    const fresh = new Map(jobs.items.map((job) => [String(job.id), job]))
    this.#pages = new Map(
      [...this.#pages].map(([page, rows]) => [
        page,
        rows.map((row) => fresh.get(String(row.id)) ?? row),
      ]),
    )
    live.noteData()
    return known.every((id) => fresh.has(id))
  }

  close(): void {
    this.#cancel()
  }

  #cancel(): void {
    for (const controller of this.#running.values()) controller.abort()
    this.#running.clear()
  }

  /** Two pages per request. Says whether all arrived and are of the question still asked. */
  async #loadAll(pages: readonly number[]): Promise<boolean> {
    const loads: Promise<boolean>[] = []
    for (let at = 0; at < pages.length; at += 2) {
      const load = this.#load(pages.slice(at, at + 2))
      this.#loads.add(load)
      void load.finally(() => this.#loads.delete(load))
      loads.push(load)
    }
    return (await Promise.all(loads)).every(Boolean)
  }

  async #load(pages: readonly number[]): Promise<boolean> {
    const controller = new AbortController()
    const key = this.#key
    for (const page of pages) {
      this.#running.get(page)?.abort()
      this.#running.set(page, controller)
    }
    this.#busy = true
    try {
      const { rows, count } = await this.#fetch(pages, controller.signal)
      if (key !== this.#key) return false
      for (const [at, page] of pages.entries()) this.onRows(page, rows[at] ?? [])
      for (const [at, page] of pages.entries()) this.#keep(page, rows[at] ?? [])
      this.#count = count ?? (pages[0] ?? 0) * PAGE_SIZE + rows.flat().length
      this.#problem = null
      live.noteData()
      return true
    } catch (error) {
      if (!isAbort(error) && key === this.#key) this.#problem = asProblem(error)
      return false
    } finally {
      for (const page of pages) {
        if (this.#running.get(page) === controller) this.#running.delete(page)
      }
      this.#busy = this.#running.size > 0
    }
  }

  async #fetch(
    [first = 0, second]: readonly number[],
    signal: AbortSignal,
  ): Promise<{ rows: JobRow[][]; count: number | null }> {
    const page = (index: number) => ({ itemsPerPage: PAGE_SIZE, page: index + 1 })
    const common = { filter: this.#filter, order: this.#order }
    if (second === undefined) {
      const question = jobsQuestion(this.#filter, this.#order, first)
      const { jobs } = await query(JobsDocument, question, signal)
      return { rows: [jobs.items], count: jobs.count }
    }
    const answer = await query(
      JobsTwoPagesDocument,
      { ...common, first: page(first), second: page(second) },
      signal,
    )
    return { rows: [answer.first.items, answer.second.items], count: answer.first.count }
  }

  #keep(page: number, rows: JobRow[]): void {
    const pages = this.#outdated ? new Map<number, JobRow[]>() : new Map(this.#pages)
    this.#outdated = false
    pages.set(page, rows)
    if (pages.size > MAX_PAGES) {
      const distance = (other: number): number => Math.abs(other - page)
      const farthest = [...pages.keys()].reduce((a, b) => (distance(b) > distance(a) ? b : a))
      pages.delete(farthest)
    }
    this.#pages = pages
  }
}
