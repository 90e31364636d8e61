export type Samples = (number | null)[]

/** Several series over one common axis. */
export interface Aligned {
  x: number[]
  ys: Samples[]
}

/**
 * Reduces series to at most `points` instants without losing an extreme.
 *
 * Each bucket of samples keeps the smallest and the largest value of each series, in the order in
 * which they came; a bucket without any sample stays a gap, and one that is partly empty keeps the
 * gap where both extremes are the same sample. Data that is short enough is returned as it is.
 */
export function reduceMinMax(data: Aligned, points: number): Aligned {
  const length = data.x.length
  const buckets = Math.max(1, Math.floor(points / 2))
  if (length <= buckets * 2) return data
  const edges = Array.from({ length: buckets + 1 }, (_, at) => Math.round((at * length) / buckets))
  const x: number[] = []
  for (let at = 0; at < buckets; at += 1) {
    const from = edges[at] ?? 0
    const to = edges[at + 1] ?? length
    x.push(data.x[from] ?? 0, data.x[Math.min(from + Math.ceil((to - from) / 2), to - 1)] ?? 0)
  }
  return { x, ys: data.ys.map((series) => reduceSeries(series, edges)) }
}

function reduceSeries(series: Samples, edges: readonly number[]): Samples {
  const out: Samples = []
  for (let at = 0; at + 1 < edges.length; at += 1) {
    out.push(...extremes(series, edges[at] ?? 0, edges[at + 1] ?? 0))
  }
  return out
}

/** Smallest and largest sample of a stretch in their order of time; null where there is none. */
function extremes(series: Samples, from: number, to: number): [number | null, number | null] {
  let low = -1
  let high = -1
  for (let at = from; at < to; at += 1) {
    const value = series[at]
    if (value === null || value === undefined) continue
    if (low < 0 || value < (series[low] ?? 0)) low = at
    if (high < 0 || value > (series[high] ?? 0)) high = at
  }
  if (low < 0) return [null, null]
  const first = Math.min(low, high)
  const second = Math.max(low, high)
  return [series[first] ?? null, series[second] ?? null]
}

export interface Band {
  min: Samples
  median: Samples
  max: Samples
}

/** Smallest, middle and largest value at each instant over the series that have one there. */
export function bandOf(series: readonly Samples[]): Band {
  const length = Math.max(0, ...series.map((data) => data.length))
  const band: Band = { min: [], median: [], max: [] }
  const values = new Float64Array(series.length)
  for (let at = 0; at < length; at += 1) {
    let count = 0
    for (const data of series) {
      const value = data[at]
      if (value === null || value === undefined) continue
      values[count] = value
      count += 1
    }
    const sorted = values.subarray(0, count).sort()
    band.min.push(sorted[0] ?? null)
    band.median.push(middleOf(sorted))
    band.max.push(sorted[count - 1] ?? null)
  }
  return band
}

function middleOf(sorted: Float64Array): number | null {
  const middle = sorted.length >> 1
  const upper = sorted[middle]
  if (upper === undefined) return null
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2
}

export interface Statistics {
  min: number
  mean: number
  max: number
  /** Samples that are there. */
  count: number
}

export function statisticsOf(series: readonly Samples[]): Statistics | null {
  let min = Infinity
  let max = -Infinity
  let sum = 0
  let count = 0
  for (const data of series) {
    for (const value of data) {
      if (value === null) continue
      if (value < min) min = value
      if (value > max) max = value
      sum += value
      count += 1
    }
  }
  return count === 0 ? null : { min, max, mean: sum / count, count }
}

/** Index of the last sample of any series; -1 when there is none. */
export function lastSample(series: readonly Samples[]): number {
  let last = -1
  for (const data of series) {
    for (let at = data.length - 1; at > last; at -= 1) {
      if (data[at] !== null && data[at] !== undefined) {
        last = at
        break
      }
    }
  }
  return last
}
