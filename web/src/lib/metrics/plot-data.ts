import type { MetricData, MetricsOfJob, SeriesData, Unit } from '@/lib/api/documents'
import { compareNatural } from '@/lib/format/hosts'
import {
  bandOf,
  lastSample,
  statisticsOf,
  type Band,
  type Samples,
  type Statistics,
} from './reduce'

export interface PlotSeries {
  host: string
  /** Unit below the node; null at node scope. */
  id: string | null
  /** Name for people: host, core number, PCI address. */
  label: string
  data: Samples
}

/** One metric of one job at one scope, ready to draw. */
export interface PlotData {
  metric: string
  scope: string
  unit: Unit
  /** Seconds between two values. */
  timestep: number
  /** Seconds between two samples as measured. */
  nativeTimestep: number
  /** Seconds since the start of the job of each value. */
  x: number[]
  series: PlotSeries[]
  /** Over all series, where there are too many for lines or only this was sent. */
  band: Band | null
  /** Over the data as measured. */
  statistics: Statistics | null
  /** Seconds since the start of the job of the last sample; null without one. */
  lastAt: number | null
}

/** More series than this are drawn as band and heat map. */
export const MAX_LINES = 8

const UNIT_NAMES: Readonly<Record<string, string>> = {
  socket: 'socket',
  memoryDomain: 'domain',
  core: 'core',
  hwthread: 'thread',
  accelerator: '',
}

/** `f0101`, `core 12`, `f0101 core 12`, `00000000:0E:00.0`. */
export function seriesLabel(
  scope: string,
  host: string,
  id: string | null,
  oneHost: boolean,
): string {
  if (scope === 'node' || id === null) return host
  const unit = UNIT_NAMES[scope] ?? scope
  const name = unit === '' ? id : `${unit} ${id}`
  return oneHost ? name : `${host} ${name}`
}

function toSamples(data: readonly (number | null)[] | null | undefined): Samples {
  return data ? [...data] : []
}

/** Over the statistics the server took of the full data; of the data itself where it sent none. */
function statistics(series: readonly SeriesData[], data: readonly Samples[]): Statistics | null {
  const own = statisticsOf(data)
  if (own === null) return null
  const sent = series.map((one) => one.statistics).filter((one) => one !== null)
  if (sent.length === 0) return own
  return {
    min: Math.min(...sent.map((one) => one.min)),
    max: Math.max(...sent.map((one) => one.max)),
    mean: sent.reduce((sum, one) => sum + one.avg, 0) / sent.length,
    count: own.count,
  }
}

/**
 * Puts the answer of the server in order: series by host and id as people count, one common time
 * axis, a band where there are many. `startTime` is the job's, in Unix seconds.
 */
export function toPlotData(
  metric: string,
  scope: string,
  answer: MetricData,
  startTime: number,
): PlotData {
  const sent = [...(answer.series ?? [])].sort(
    (a, b) => compareNatural(a.hostname, b.hostname) || compareNatural(a.id ?? '', b.id ?? ''),
  )
  const oneHost = new Set(sent.map((series) => series.hostname)).size <= 1
  const series = sent.map((one) => {
    const id = scope === 'node' ? null : one.id
    const label = seriesLabel(scope, one.hostname, id, oneHost)
    return { host: one.hostname, id, label, data: toSamples(one.data) }
  })
  const all = series.map((one) => one.data)
  const band = bandFor(answer, all)
  const drawn = all.length > 0 ? all : band ? [band.min, band.max] : []
  const length = Math.max(0, ...drawn.map((data) => data.length))
  for (const one of series) while (one.data.length < length) one.data.push(null)
  const offset = answer.firstTime === null ? 0 : answer.firstTime - startTime
  const last = lastSample(drawn)
  return {
    metric,
    scope,
    unit: answer.unit ?? { base: '', prefix: '' },
    timestep: answer.timestep,
    nativeTimestep: answer.nativeTimestep ?? answer.timestep,
    x: Array.from({ length }, (_, at) => offset + at * answer.timestep),
    series,
    band,
    statistics: all.length > 0 ? statistics(sent, all) : bandStatistics(band),
    lastAt: last < 0 ? null : offset + last * answer.timestep,
  }
}

function bandFor(answer: MetricData, all: readonly Samples[]): Band | null {
  if (all.length > MAX_LINES) return bandOf(all)
  const sent = answer.statisticsSeries
  if (all.length > 0 || !sent) return null
  const middle = sent.median.length > 0 ? sent.median : sent.mean
  return { min: toSamples(sent.min), median: toSamples(middle), max: toSamples(sent.max) }
}

function bandStatistics(band: Band | null): Statistics | null {
  if (band === null) return null
  const low = statisticsOf([band.min])
  const high = statisticsOf([band.max])
  const middle = statisticsOf([band.median])
  if (!low || !high || !middle) return null
  return { min: low.min, max: high.max, mean: middle.mean, count: middle.count }
}

const FINENESS = ['node', 'socket', 'memoryDomain', 'core', 'hwthread', 'accelerator']

/**
 * Of the scopes that came, the one that was asked for, else the one nearest to it: an archive may
 * hold only some.
 */
export function pickScope(
  answer: MetricsOfJob,
  metric: string,
  wanted: string,
): MetricsOfJob['metrics'][number] | null {
  const target = FINENESS.indexOf(wanted)
  const distance = (scope: string): number => Math.abs(FINENESS.indexOf(scope) - target)
  return answer.metrics
    .filter((one) => one.name === metric)
    .reduce<MetricsOfJob['metrics'][number] | null>(
      (best, one) => (best && distance(best.scope) <= distance(one.scope) ? best : one),
      null,
    )
}

/** The same data with the series of one host alone. */
export function ofHost(data: PlotData, host: string | null): PlotData {
  if (host === null || !data.series.some((series) => series.host === host)) return data
  const series = data.series
    .filter((one) => one.host === host)
    .map((one) => ({ ...one, label: seriesLabel(data.scope, one.host, one.id, true) }))
  const all = series.map((one) => one.data)
  return {
    ...data,
    series,
    band: all.length > MAX_LINES ? bandOf(all) : null,
    statistics: statisticsOf(all),
  }
}
