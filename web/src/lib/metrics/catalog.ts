import type { Boot, Cluster, GlobalMetric, MetricConfig, SubCluster } from '@/lib/api/documents'
import type { Units } from './thresholds'

/** Metrics a list shows first, where they are measured. */
const PREFERRED = ['cpu_load', 'flops_any', 'mem_bw', 'mem_used', 'acc_utilization']

/** What the clusters can measure; answers from memory. */
export class Catalog {
  readonly #clusters: ReadonlyMap<string, Cluster>
  readonly metrics: readonly GlobalMetric[]

  constructor(boot: Pick<Boot, 'clusters' | 'globalMetrics'>) {
    this.#clusters = new Map(boot.clusters.map((cluster) => [cluster.name, cluster]))
    this.metrics = [...boot.globalMetrics].sort((a, b) => a.name.localeCompare(b.name, 'en'))
  }

  get clusters(): Cluster[] {
    return [...this.#clusters.values()]
  }

  cluster(name: string | null): Cluster | null {
    return name === null ? null : (this.#clusters.get(name) ?? null)
  }

  subCluster(cluster: string, name: string): SubCluster | null {
    return this.cluster(cluster)?.subClusters.find((sub) => sub.name === name) ?? null
  }

  metric(name: string): GlobalMetric | null {
    return this.metrics.find((metric) => metric.name === name) ?? null
  }

  /** How a metric is measured on a subcluster; null: it is not measured there. */
  config(cluster: string, subCluster: string, metric: string): MetricConfig | null {
    const sub = this.subCluster(cluster, subCluster)
    return sub?.metricConfig.find((config) => config.name === metric) ?? null
  }

  /** Metrics of a cluster, or of all of them. */
  metricsOf(cluster: string | null): GlobalMetric[] {
    if (cluster === null) return [...this.metrics]
    return this.metrics.filter((metric) =>
      metric.availability.some((support) => support.cluster === cluster),
    )
  }

  /**
   * At most `count` metrics for a list nobody has chosen metrics for: well-known ones, then those
   * of the footprint, then any.
   */
  defaults(cluster: string | null, count = 4): string[] {
    const measured = this.metricsOf(cluster)
    const names = new Set(measured.map((metric) => metric.name))
    const hasGpus = cluster !== null && names.has('acc_utilization')
    const preferred = hasGpus ? ['acc_utilization', ...PREFERRED] : PREFERRED
    const footprint = measured.filter((metric) => metric.footprint)
    const ordered = [
      ...preferred.filter((name) => names.has(name)),
      ...footprint.map((metric) => metric.name),
      ...measured.map((metric) => metric.name),
    ]
    return [...new Set(ordered)].slice(0, count)
  }
}

/** Units of each scope on one node. */
export function unitsOf(sub: SubCluster | null, accelerators = 0, memoryDomains = 0): Units {
  if (sub === null) return {}
  const cores = sub.socketsPerNode * sub.coresPerSocket
  return {
    node: 1,
    socket: sub.socketsPerNode,
    memoryDomain: memoryDomains || sub.socketsPerNode,
    core: cores,
    hwthread: cores * Math.max(sub.threadsPerCore, 1),
    accelerator: accelerators,
  }
}

const COARSE_TO_FINE = ['node', 'socket', 'memoryDomain', 'core', 'hwthread']

/** Scopes a metric can be shown at: its own and every coarser one. */
export function scopesOf(config: MetricConfig): string[] {
  if (config.scope === 'accelerator') return ['node', 'accelerator']
  const own = COARSE_TO_FINE.indexOf(config.scope)
  return own < 0 ? ['node'] : COARSE_TO_FINE.slice(0, own + 1)
}

export const SCOPE_WORDS: Readonly<Record<string, string>> = {
  node: 'Node',
  socket: 'Socket',
  memoryDomain: 'Memory domain',
  core: 'Core',
  hwthread: 'Hardware thread',
  accelerator: 'Accelerator',
}
