import type { JobRow, MetricConfig } from '@/lib/api/documents'
import { formatQuantity } from '@/lib/format/number'
import { formatPercent } from '@/lib/format/number'
import type { Catalog } from './catalog'
import { unitsOf } from './catalog'
import type { PlotData } from './plot-data'
import { thresholdsAt, verdict, type Thresholds, type Units, type Verdict } from './thresholds'

export const startOf = (job: Pick<JobRow, 'startTime'>): number => Date.parse(job.startTime) / 1000

/** Seconds the job has run; of a running one until `now` (Unix seconds). */
export function durationOf(
  job: Pick<JobRow, 'startTime' | 'state' | 'duration'>,
  now: number,
): number {
  return job.state === 'running' ? Math.max(0, Math.round(now - startOf(job))) : job.duration
}

/** The part of its nodes a job has, by hardware threads; 1 when that is not known. */
export function shareOfNodes(job: JobRow, units: Units): number {
  const perNode = units['hwthread'] ?? 0
  if (job.shared === 'none' || perNode === 0 || job.numHWThreads === 0) return 1
  return Math.min(1, job.numHWThreads / (perNode * Math.max(job.numNodes, 1)))
}

export function thresholdsOf(
  job: JobRow,
  config: MetricConfig,
  scope: string,
  catalog: Catalog,
  units?: Units,
): Thresholds | null {
  const known = units ?? unitsOf(catalog.subCluster(job.cluster, job.subCluster))
  return thresholdsAt(config, scope, known, shareOfNodes(job, known))
}

export type Statistic = 'avg' | 'min' | 'max'

export const STATISTIC_WORDS: Readonly<Record<Statistic, string>> = {
  avg: 'mean',
  min: 'min',
  max: 'max',
}

/** The statistic a metric is judged by. */
export function statisticFor(catalog: Catalog, metric: string): Statistic {
  const footprint = catalog.metric(metric)?.footprint
  return footprint === 'max' || footprint === 'min' ? footprint : 'avg'
}

export function valueOf(data: PlotData, statistic: Statistic): number | null {
  if (data.statistics === null) return null
  return statistic === 'avg' ? data.statistics.mean : data.statistics[statistic]
}

/** `cpu_load: mean 71.2, min 0.4, max 72.0, low (caution at 36.0)`. */
export function describe(data: PlotData, judged: Verdict | null): string {
  const { metric, unit, statistics } = data
  if (statistics === null) return `${metric}: no samples`
  const write = (value: number): string => formatQuantity(value, unit)
  const { min, mean, max } = statistics
  const tail = judged?.broken
    ? `, ${judged.word} (${judged.broken.name} at ${write(judged.broken.value)})`
    : ''
  return `${metric}: mean ${write(mean)}, min ${write(min)}, max ${write(max)}${tail}`
}

/** The sentence on how long a plot was worse than caution; empty when it never was. */
export function worseSentence(
  share: number | null,
  thresholds: Thresholds | null,
  data: PlotData,
): string {
  if (share === null || share === 0 || thresholds === null) return ''
  const side = thresholds.lowerIsBetter ? 'above' : 'below'
  const value = formatQuantity(thresholds.caution, data.unit)
  return `${side} caution (${value}) for ${formatPercent(share)} of the samples`
}

export { verdict }
