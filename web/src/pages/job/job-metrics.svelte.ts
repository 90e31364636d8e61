import { SvelteMap, SvelteSet } from 'svelte/reactivity'
import { query } from '@/lib/api/client'
import { JobsMetricsDocument, type MetricsOfJob } from '@/lib/api/documents'
import { asProblem, isAbort, type Problem } from '@/lib/api/problem'
import { inSlices } from '@/lib/frames'
import { live } from '@/lib/live/events.svelte'
import { pickScope, toPlotData, type PlotData } from '@/lib/metrics/plot-data'

/** What is known of one plot. */
export interface PlotState {
  /** The latest data; stays while newer is loaded. */
  data: PlotData | null
  loading: boolean
  problem: Problem | null
  /** The server's words where it could not read the series. */
  failure: string | null
  /** Why there are no series, by the server's code. */
  missing: string | null
}

/** One plot as it shall be. */
export interface Wish {
  metric: string
  scope: string
  /** Instants that are needed to fill the plot. */
  points: number
}

const EMPTY: PlotState = { data: null, loading: true, problem: null, failure: null, missing: null }
/** A pause after which wishes are sent together, ms. */
const SETTLE = 60

/**
 * The series of the plots of one job. Only plots on the screen are asked for, those of one
 * screenful together; a plot that already has what it needs is not asked for again.
 */
export class JobMetrics {
  readonly #plots = new SvelteMap<string, PlotState>()
  readonly #seen = new SvelteSet<string>()
  readonly #had = new Map<string, { scope: string; points: number }>()
  #wishes: Wish[] = []
  #timer: ReturnType<typeof setTimeout> | undefined
  readonly #running = new Set<AbortController>()
  /** Questions whose answers are not here yet. */
  readonly #open = new Set<Promise<void>>()

  constructor(
    private readonly id: string,
    /** Unix seconds. */
    private readonly startTime: () => number,
  ) {}

  of(metric: string): PlotState {
    return this.#plots.get(metric) ?? EMPTY
  }

  /** Says whether a plot is on the screen. */
  see(metric: string, seen: boolean): void {
    if (seen) this.#seen.add(metric)
    else this.#seen.delete(metric)
    this.#schedule()
  }

  /** `first`: plots that are on the screen when nothing has been asked yet; they are asked for at once. */
  wish(wishes: Wish[], first = 0): void {
    this.#wishes = wishes
    if (this.#had.size === 0 && first > 0) void this.#ask(wishes.slice(0, first))
    else this.#schedule()
  }

  /** Loads what any plot lacks, on the screen or not; kept when all of it is there or has failed. */
  async loadAll(): Promise<void> {
    void this.#ask(this.#wishes.filter((wish) => this.#lacks(wish)))
    await Promise.all(this.#open)
  }

  /** Asks again for what is on the screen; the curves stay until the new ones are there. */
  async refresh(): Promise<void> {
    await this.#ask(this.#wishes.filter((wish) => this.#seen.has(wish.metric)))
  }

  retry(metric: string): void {
    this.#had.delete(metric)
    this.#plots.set(metric, EMPTY)
    this.#schedule()
  }

  close(): void {
    clearTimeout(this.#timer)
    for (const controller of this.#running) controller.abort()
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      void this.#ask(
        this.#wishes.filter((wish) => this.#seen.has(wish.metric) && this.#lacks(wish)),
      )
    }, SETTLE)
  }

  #lacks(wish: Wish): boolean {
    const had = this.#had.get(wish.metric)
    if (had === undefined || had.scope !== wish.scope) return true
    const data = this.#plots.get(wish.metric)?.data ?? null
    const isNative = data !== null && data.timestep <= data.nativeTimestep
    return wish.points > had.points && !isNative
  }

  /** One request for all plots that share scope and resolution: mostly one for all. */
  async #ask(wishes: Wish[]): Promise<void> {
    const groups = new Map<number, Wish[]>()
    for (const wish of wishes) {
      groups.set(wish.points, [...(groups.get(wish.points) ?? []), wish])
      this.#had.set(wish.metric, { scope: wish.scope, points: wish.points })
      this.#plots.set(wish.metric, { ...this.of(wish.metric), loading: true })
    }
    const asked = Promise.all([...groups.values()].map((group) => this.#askGroup(group))).then(
      () => undefined,
    )
    this.#open.add(asked)
    await asked
    this.#open.delete(asked)
  }

  async #askGroup(wishes: Wish[]): Promise<void> {
    const controller = new AbortController()
    this.#running.add(controller)
    try {
      const { jobsMetrics } = await query(
        JobsMetricsDocument,
        {
          ids: [this.id],
          metrics: wishes.map((wish) => wish.metric),
          scopes: [...new Set(wishes.map((wish) => wish.scope))],
          points: wishes[0]?.points ?? 0,
          maxSeries: null,
        },
        controller.signal,
      )
      const answer = jobsMetrics?.[0]
      await inSlices(
        wishes,
        1,
        (wish) => this.#take(wish, answer),
        () => !controller.signal.aborted,
      )
      live.noteData()
    } catch (error) {
      if (isAbort(error)) return
      for (const { metric } of wishes) {
        const old = this.of(metric)
        this.#plots.set(metric, { ...old, loading: false, problem: asProblem(error) })
      }
    } finally {
      this.#running.delete(controller)
    }
  }

  #take(wish: Wish, answer: MetricsOfJob | undefined): void {
    // Meanwhile something else may have been wished for this plot.
    if (this.#had.get(wish.metric)?.scope !== wish.scope) return
    const found = answer ? pickScope(answer, wish.metric, wish.scope) : null
    const missing = answer?.missing?.find((one) => one.name === wish.metric)?.reason ?? null
    this.#plots.set(wish.metric, {
      data: found && toPlotData(wish.metric, found.scope, found.metric, this.startTime()),
      loading: false,
      problem: null,
      failure: answer?.error ?? null,
      missing,
    })
  }
}
