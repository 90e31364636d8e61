import type { JobRow } from '@/lib/api/documents'
import type { Catalog } from '@/lib/metrics/catalog'
import { durationOf } from '@/lib/metrics/job'
import type { PlotData } from '@/lib/metrics/plot-data'
import type { JobSeries } from './list-metrics.svelte'

/**
 * What can be shown of one metric of one job. The four ways to have nothing look different, and
 * only the last two are warnings: not measured here, nothing to measure yet, no samples, and not
 * loaded.
 */
export type MetricState =
  | { kind: 'data'; data: PlotData; idle: boolean }
  | { kind: 'loading' }
  | { kind: 'not-measured'; text: string }
  | { kind: 'waiting'; text: string }
  | { kind: 'no-samples'; text: string }
  | { kind: 'failed'; text: string }

const NOT_MEASURED = new Set(['NOT_CONFIGURED', 'UNKNOWN_METRIC', 'SCOPE_NOT_AVAILABLE'])

export function metricState(
  job: JobRow,
  metric: string,
  series: JobSeries | undefined,
  catalog: Catalog,
  now: number,
): MetricState {
  const config = catalog.config(job.cluster, job.subCluster, metric)
  const place = job.subCluster === '' ? job.cluster : `${job.cluster}/${job.subCluster}`
  if (config === null) return { kind: 'not-measured', text: `not measured on ${place}` }
  if (job.monitoringStatus === 0) {
    return { kind: 'not-measured', text: 'monitoring was switched off for this job' }
  }
  if (series === undefined || series.state === 'loading') return { kind: 'loading' }
  if (series.state === 'failed') return { kind: 'failed', text: series.text }
  const data = series.data.get(metric)
  if (data?.statistics) {
    return { kind: 'data', data, idle: data.statistics.max === 0 && data.statistics.min === 0 }
  }
  const reason = series.missing.get(metric)
  if (reason !== undefined && NOT_MEASURED.has(reason)) {
    return { kind: 'not-measured', text: `not measured on ${place}` }
  }
  if (reason === 'BROKEN_ENTRY') return { kind: 'failed', text: 'the archived data cannot be read' }
  if (job.state === 'pending') return { kind: 'waiting', text: 'the job has not started' }
  if (job.state === 'running' && durationOf(job, now) < 3 * config.timestep) {
    return { kind: 'waiting', text: 'first samples are on their way' }
  }
  if (job.state !== 'running' && job.duration < config.timestep) {
    return { kind: 'not-measured', text: 'the job was too short for a sample' }
  }
  if (job.monitoringStatus === 2) return { kind: 'failed', text: 'archiving this job failed' }
  return { kind: 'no-samples', text: 'no samples arrived' }
}
