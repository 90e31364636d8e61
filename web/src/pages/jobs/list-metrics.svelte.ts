import { SvelteMap } from 'svelte/reactivity'
import { query } from '@/lib/api/client'
import { JobsMetricsDocument, type JobRow, type MetricsOfJob } from '@/lib/api/documents'
import { asProblem, isAbort, type Problem } from '@/lib/api/problem'
import { baseFactor } from '@/lib/format/number'
import { inSlices } from '@/lib/frames'
import { MAX_LINES, pickScope, toPlotData, type PlotData } from '@/lib/metrics/plot-data'

/** What is known of the series of one job. */
export type JobSeries =
  | { state: 'loading' }
  | { state: 'failed'; problem: Problem | null; text: string }
  | { state: 'ready'; data: ReadonlyMap<string, PlotData>; missing: ReadonlyMap<string, string> }

/** Jobs whose series are kept. */
const MAX_JOBS = 400
/** Jobs per request; the server takes 100. */
const MAX_IDS = 60
/** Jobs whose curves are drawn between two frames. */
const JOBS_PER_FRAME = 5
/** A pause in scrolling after which a screenful is asked for, ms. */
const SETTLE = 80

/**
 * The series of the jobs on the screen: one request per screenful, cancelled when all its jobs
 * have left the screen, nothing asked twice.
 */
export class ListMetrics {
  readonly #jobs = new SvelteMap<string, JobSeries>()
  /** Largest value per metric, in base units, for a scale that all rows share. It only grows. */
  readonly #maxima = new SvelteMap<string, number>()
  #metrics: string[] = []
  #points = 0
  #visible: JobRow[] = []
  #running: { ids: Set<string>; controller: AbortController }[] = []
  #timer: ReturnType<typeof setTimeout> | undefined

  of(id: string): JobSeries | undefined {
    return this.#jobs.get(id)
  }

  maximum(metric: string): number {
    return this.#maxima.get(metric) ?? 0
  }

  /** Says what is on the screen now. */
  show(rows: JobRow[], metrics: string[], points: number): void {
    if (metrics.join() !== this.#metrics.join() || points !== this.#points) {
      this.#forget()
      this.#metrics = metrics
      this.#points = points
    }
    this.#visible = rows
    this.#cancelUnseen()
    clearTimeout(this.#timer)
    // The first screenful at once, even before its rows are drawn; later ones when scrolling rests.
    if (this.#jobs.size === 0 && this.#running.length === 0) void this.#askMissing()
    else this.#timer = setTimeout(() => void this.#askMissing(), SETTLE)
  }

  /** Asks again for jobs that are on the screen; their old curves stay meanwhile. */
  async refresh(ids: readonly string[]): Promise<void> {
    const seen = new Set(this.#visible.map((row) => String(row.id)))
    const wanted = this.#visible.filter(
      (row) => ids.includes(String(row.id)) && seen.has(String(row.id)),
    )
    if (wanted.length > 0) await this.#ask(wanted, true)
  }

  /** Asks again for all that could not be loaded. */
  retry(): void {
    for (const [id, series] of this.#jobs) if (series.state === 'failed') this.#jobs.delete(id)
    void this.#askMissing()
  }

  close(): void {
    clearTimeout(this.#timer)
    for (const { controller } of this.#running) controller.abort()
  }

  #forget(): void {
    for (const { controller } of this.#running) controller.abort()
    this.#running = []
    this.#jobs.clear()
    this.#maxima.clear()
  }

  #cancelUnseen(): void {
    const seen = new Set(this.#visible.map((row) => String(row.id)))
    for (const { ids, controller } of this.#running) {
      if (![...ids].some((id) => seen.has(id))) controller.abort()
    }
  }

  async #askMissing(): Promise<void> {
    if (this.#metrics.length === 0) return
    const missing = this.#visible.filter((row) => !this.#jobs.has(String(row.id)))
    for (let at = 0; at < missing.length; at += MAX_IDS) {
      await this.#ask(missing.slice(at, at + MAX_IDS), false)
    }
  }

  async #ask(rows: JobRow[], again: boolean): Promise<void> {
    const ids = rows.map((row) => String(row.id))
    const controller = new AbortController()
    const running = { ids: new Set(ids), controller }
    this.#running.push(running)
    if (!again) for (const id of ids) this.#jobs.set(id, { state: 'loading' })
    try {
      const { jobsMetrics } = await query(
        JobsMetricsDocument,
        {
          ids,
          metrics: this.#metrics,
          scopes: ['node'],
          points: this.#points,
          maxSeries: MAX_LINES,
        },
        controller.signal,
      )
      if (!controller.signal.aborted) await this.#take(rows, jobsMetrics ?? [], controller.signal)
    } catch (error) {
      if (isAbort(error)) for (const id of ids) this.#dropLoading(id)
      else if (!again) {
        const problem = asProblem(error)
        for (const id of ids)
          this.#jobs.set(id, { state: 'failed', problem, text: problem.message })
      }
    } finally {
      this.#running = this.#running.filter((one) => one !== running)
    }
  }

  #dropLoading(id: string): void {
    if (this.#jobs.get(id)?.state === 'loading') this.#jobs.delete(id)
  }

  async #take(rows: JobRow[], answers: MetricsOfJob[], signal: AbortSignal): Promise<void> {
    const byId = new Map(answers.map((answer) => [String(answer.id), answer]))
    const series = rows.map((row) => {
      const id = String(row.id)
      return { id, found: toJobSeries(row, byId.get(id), this.#metrics) }
    })
    // The common scale first, so that no curve is drawn twice.
    for (const { found } of series) this.#noteMaxima(found)
    await inSlices(
      series,
      JOBS_PER_FRAME,
      ({ id, found }) => this.#jobs.set(id, found),
      () => !signal.aborted,
    )
    const keep = new Set(this.#visible.map((row) => String(row.id)))
    for (const id of this.#jobs.keys()) {
      if (this.#jobs.size <= MAX_JOBS) break
      if (!keep.has(id)) this.#jobs.delete(id)
    }
  }

  #noteMaxima(series: JobSeries): void {
    if (series.state !== 'ready') return
    for (const [metric, data] of series.data) {
      const max = (data.statistics?.max ?? 0) * baseFactor(data.unit)
      if (max > this.maximum(metric)) this.#maxima.set(metric, max)
    }
  }
}

function toJobSeries(
  row: JobRow,
  answer: MetricsOfJob | undefined,
  metrics: readonly string[],
): JobSeries {
  if (answer === undefined) return { state: 'ready', data: new Map(), missing: new Map() }
  if (answer.error) return { state: 'failed', problem: null, text: answer.error }
  const start = Date.parse(row.startTime) / 1000
  const data = new Map<string, PlotData>()
  for (const metric of metrics) {
    const found = pickScope(answer, metric, 'node')
    if (found) data.set(metric, toPlotData(metric, found.scope, found.metric, start))
  }
  const missing = new Map((answer.missing ?? []).map((one) => [one.name, one.reason]))
  return { state: 'ready', data, missing }
}
