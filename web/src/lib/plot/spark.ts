import type { PlotData } from '@/lib/metrics/plot-data'
import { bandOf, reduceMinMax, type Samples } from '@/lib/metrics/reduce'

/** Size of the drawing in its own units; it is stretched to its cell. */
export const SPARK_WIDTH = 100
export const SPARK_HEIGHT = 24

/** Paths of a small plot without axes. */
export interface Spark {
  /** Between the smallest and the largest series; empty where there is only one. */
  area: string
  line: string
}

/**
 * A small plot of all series: the line is their middle, the area spans them all.
 * `top` is the value at the upper edge, `duration` the seconds the width stands for, `points` the
 * most instants that are drawn.
 */
export function spark(data: PlotData, top: number, duration: number, points: number): Spark {
  const { x, ys } = reduceMinMax(drawn(data), points)
  const [low = [], middle = [], high = []] = ys
  const span = Math.max(x.at(-1) ?? 0, duration, 1)
  const scaleX = (at: number): string => (((x[at] ?? 0) / span) * SPARK_WIDTH).toFixed(1)
  const scaleY = (value: number): string => {
    const share = top > 0 ? Math.min(Math.max(value / top, 0), 1) : 0
    return (SPARK_HEIGHT - 1 - share * (SPARK_HEIGHT - 2)).toFixed(1)
  }
  const width = (Math.min(data.timestep / span, 1) * SPARK_WIDTH).toFixed(1)
  return {
    line: linePath(middle, scaleX, scaleY, width),
    area: areaPath(low, high, scaleX, scaleY),
  }
}

function drawn(data: PlotData): { x: number[]; ys: Samples[] } {
  const only = data.series.length === 1 ? data.series[0] : undefined
  if (only) return { x: data.x, ys: [[], only.data, []] }
  const band = data.band ?? bandOf(data.series.map((series) => series.data))
  return { x: data.x, ys: [band.min, band.median, band.max] }
}

/** Stretches of samples without a gap, as index of first and last. */
export function stretches(samples: Samples): [from: number, to: number][] {
  const found: [number, number][] = []
  let from = -1
  for (let at = 0; at <= samples.length; at += 1) {
    const present = at < samples.length && samples[at] !== null
    if (present && from < 0) from = at
    if (!present && from >= 0) {
      found.push([from, at - 1])
      from = -1
    }
  }
  return found
}

type ScaleX = (at: number) => string
type ScaleY = (value: number) => string

function points(samples: Samples, from: number, to: number, x: ScaleX, y: ScaleY): string[] {
  const out: string[] = []
  for (let at = from; at <= to; at += 1) out.push(`${x(at)} ${y(samples[at] ?? 0)}`)
  return out
}

/** `alone`: length of a sample without neighbours, which stands for the time it was taken for. */
function linePath(samples: Samples, x: ScaleX, y: ScaleY, alone: string): string {
  return stretches(samples)
    .map(([from, to]) => {
      const drawn = points(samples, from, to, x, y)
      return drawn.length === 1 ? `M${drawn[0]}h${alone}` : `M${drawn.join('L')}`
    })
    .join('')
}

function areaPath(low: Samples, high: Samples, x: ScaleX, y: ScaleY): string {
  return stretches(high)
    .filter(([from, to]) => to > from)
    .map(([from, to]) => {
      const upper = points(high, from, to, x, y)
      const lower = points(low, from, to, x, y).reverse()
      return `M${upper.join('L')}L${lower.join('L')}Z`
    })
    .join('')
}
