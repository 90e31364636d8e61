import { MAX_LINES, type PlotData } from '@/lib/metrics/plot-data'
import { reduceMinMax, statisticsOf, type Samples } from '@/lib/metrics/reduce'
import type { Thresholds } from '@/lib/metrics/thresholds'
import type { YAxis } from '@/lib/url/job-state'

/** What one drawn line stands for. */
export type Role =
  | { kind: 'line'; series: number; slot: number; faint: boolean }
  | { kind: 'min' | 'median' | 'max'; faint: boolean }

/** Lines over a common axis, at most as many points as there are pixels. */
export interface Drawn {
  x: number[]
  ys: Samples[]
  roles: Role[]
}

/** A stretch of time, seconds since the start of the job. */
export type Window = readonly [from: number, to: number]

/**
 * The lines to draw of a window: each series as a line when there are few, else the band of all;
 * series that were picked out (`isolated`, indexes) are lines in any case, the rest steps back.
 */
export function drawnData(
  data: PlotData,
  isolated: readonly number[],
  window: Window,
  points: number,
): Drawn {
  const picked = new Set(isolated)
  const roles: Role[] = []
  const ys: Samples[] = []
  if (data.band !== null) {
    const faint = picked.size > 0
    for (const kind of ['min', 'max', 'median'] as const) {
      roles.push({ kind, faint })
      ys.push(data.band[kind])
    }
  }
  for (const [index, series] of data.series.entries()) {
    const single = data.series.length <= MAX_LINES && data.band === null
    if (!single && !picked.has(index)) continue
    // The first colour is the median's.
    const slot = single ? index : isolated.indexOf(index) + 1
    roles.push({ kind: 'line', series: index, slot, faint: picked.size > 0 && !picked.has(index) })
    ys.push(series.data)
  }
  const cut = cutToWindow({ x: data.x, ys }, window)
  return { ...reduceMinMax(cut, points), roles }
}

/** Samples inside the window and one on each side, so that lines run to its edges. */
function cutToWindow(
  data: { x: number[]; ys: Samples[] },
  [from, to]: Window,
): { x: number[]; ys: Samples[] } {
  let first = data.x.findIndex((x) => x >= from)
  if (first < 0) first = data.x.length
  let last = first
  while (last < data.x.length && (data.x[last] ?? 0) <= to) last += 1
  const low = Math.max(0, first - 1)
  const high = Math.min(data.x.length, last + 1)
  if (low === 0 && high === data.x.length) return data
  return { x: data.x.slice(low, high), ys: data.ys.map((series) => series.slice(low, high)) }
}

/** Smallest and largest value of the y axis. */
export function yRange(
  drawn: Drawn,
  thresholds: Thresholds | null,
  mode: YAxis,
): [low: number, high: number] {
  const statistics = statisticsOf(drawn.ys)
  const max = statistics?.max ?? 0
  const min = statistics?.min ?? 0
  if (mode === 'fit' && statistics) {
    const pad = (max - min) * 0.05 || Math.abs(max) * 0.05 || 1
    return [min - pad, max + pad]
  }
  const low = min < 0 ? min * 1.05 : 0
  if (mode === 'peak' && thresholds && thresholds.peak > 0) {
    return [low, Math.max(thresholds.peak, max) * 1.02]
  }
  return [low, topFor(max, thresholds)]
}

/** Above the largest value, and up to the next threshold when that is not far. */
function topFor(max: number, thresholds: Thresholds | null): number {
  const levels = thresholds ? [thresholds.alert, thresholds.caution, thresholds.normal] : []
  const next = levels
    .filter((level) => level > max && (max === 0 || level <= 3 * max))
    .sort((a, b) => a - b)[0]
  const top = Math.max(max, next ?? 0)
  return top > 0 ? top * 1.06 : 1
}

/** Second from which on samples should be there and are not; null when all are. */
export function staleFrom(data: PlotData, end: number): number | null {
  if (data.lastAt === null) return null
  const grace = 2 * Math.max(data.nativeTimestep, data.timestep) + 15
  return end - data.lastAt > grace ? data.lastAt + data.timestep / 2 : null
}
