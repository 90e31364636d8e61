import type { JobFacts, MetricConfig, SubCluster } from '@/lib/api/documents'
import type { JobViewState } from '@/lib/url/job-state'
import { scopesOf } from '@/lib/metrics/catalog'
import { MAX_LINES } from '@/lib/metrics/plot-data'

const ORDER = ['cpu_load', 'flops_any', 'mem_bw', 'mem_used', 'acc_utilization', 'acc_mem_used']

/** The metrics a job can have, the telling ones first; none of accelerators where it has none. */
export function metricsOfJob(
  job: Pick<JobFacts, 'numAcc'>,
  sub: SubCluster | null,
  footprint: ReadonlySet<string>,
): MetricConfig[] {
  const rank = (config: MetricConfig): number => {
    const known = ORDER.indexOf(config.name)
    if (known >= 0) return known
    return footprint.has(config.name) ? ORDER.length : ORDER.length + 1
  }
  return (sub?.metricConfig ?? [])
    .filter((config) => config.scope !== 'accelerator' || job.numAcc > 0)
    .map((config, at) => ({ config, at }))
    .sort((a, b) => rank(a.config) - rank(b.config) || a.at - b.at)
    .map(({ config }) => config)
}

/**
 * The scope a plot shows when nobody has chosen one: accelerators one by one, several nodes by
 * node, a single node at the finest scope, where cores stand for their threads.
 */
export function defaultScope(job: Pick<JobFacts, 'numNodes'>, config: MetricConfig): string {
  if (config.scope === 'accelerator') return 'accelerator'
  if (job.numNodes > 1) return 'node'
  return config.scope === 'hwthread' ? 'core' : config.scope
}

/** The scope a plot shall show: its own choice, else that of the page, else the default. */
export function scopeFor(
  job: Pick<JobFacts, 'numNodes'>,
  config: MetricConfig,
  state: Pick<JobViewState, 'scope' | 'scopes'>,
): string {
  const offered = scopesOf(config)
  const wanted = state.scopes[config.name] ?? state.scope
  if (wanted === null || wanted === undefined) return defaultScope(job, config)
  if (offered.includes(wanted)) return wanted
  // Finer than measured is shown as measured.
  return wanted === 'node' ? 'node' : defaultScope(job, config)
}

/** Lines that the names of the series take below each plot: few names fit into one, a band needs no more. */
export function legendLines(job: Pick<JobFacts, 'numNodes' | 'numAcc'>): number {
  const names = [job.numNodes, job.numAcc]
  return names.some((count) => count > 2 && count <= MAX_LINES) ? 2 : 1
}

/** Instants a plot of this width needs, so that the window has one for each pixel or two. */
export function pointsFor(
  width: number,
  zoom: readonly [number, number] | null,
  duration: number,
): number {
  const share = zoom === null ? 1 : Math.max((zoom[1] - zoom[0]) / Math.max(duration, 1), 0.001)
  const needed = Math.max(width, 200) / share
  // In steps, so that a small change of the window asks for nothing.
  return Math.min(300 * 2 ** Math.ceil(Math.log2(needed / 300)), 50_000)
}
