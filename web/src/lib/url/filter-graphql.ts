import type { JobFilterInput, OrderInput } from '@/lib/api/documents'
import type { JobFilters, TextFilter, TimeFilter } from './filters'
import type { Sort } from './job-list-state'

/** Unix seconds as the API reads them. */
export function toTime(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString().replace('.000Z', 'Z')
}

function text(filter: TextFilter): { eq: string } | { contains: string } | { in: string[] } {
  const [value = ''] = filter.values
  if (filter.match === 'in') return { in: filter.values }
  return filter.match === 'eq' ? { eq: value } : { contains: value }
}

function time(filter: TimeFilter): NonNullable<JobFilterInput['startTime']> {
  if ('range' in filter) return { range: filter.range }
  return {
    ...(filter.from === null ? {} : { from: toTime(filter.from) }),
    ...(filter.to === null ? {} : { to: toTime(filter.to) }),
  }
}

/**
 * The filters as the API takes them, one item each, in the order existing clients send them.
 * `ownUser` is the user whose page this is.
 */
export function toFilterInput(
  filters: JobFilters,
  ownUser: string | null = null,
): JobFilterInput[] {
  const items: (JobFilterInput | null)[] = [
    filters.dbId.length > 0 ? { dbId: filters.dbId } : null,
    filters.cluster === null ? null : { cluster: { eq: filters.cluster } },
    filters.subCluster === null ? null : { subCluster: { eq: filters.subCluster } },
    filters.partition === null ? null : { partition: { eq: filters.partition } },
    filters.state.length > 0 ? { state: filters.state } : null,
    filters.shared === null ? null : { shared: filters.shared },
    filters.project && { project: text(filters.project) },
    filters.user && { user: text(filters.user) },
    filters.numNodes && { numNodes: filters.numNodes },
    filters.numAccelerators && { numAccelerators: filters.numAccelerators },
    filters.numHWThreads && { numHWThreads: filters.numHWThreads },
    filters.arrayJobId === null ? null : { arrayJobId: filters.arrayJobId },
    filters.tags.length > 0 ? { tags: filters.tags } : null,
    filters.startTime && { startTime: time(filters.startTime) },
    filters.duration && { duration: filters.duration },
    filters.energy && { energy: filters.energy },
    filters.jobId && { jobId: text(filters.jobId) },
    filters.stats.length > 0
      ? {
          metricStats: filters.stats.map(({ field, from, to }) => ({
            metricName: field,
            range: { from, to },
          })),
        }
      : null,
    filters.node && { node: text(filters.node) },
    filters.jobName === null ? null : { jobName: { contains: filters.jobName } },
    filters.schedule === null ? null : { schedule: filters.schedule },
    ownUser === null ? null : { user: { eq: ownUser } },
  ]
  return items.filter((item) => item !== null)
}

const COLUMNS = new Set(['startTime', 'duration', 'numNodes', 'numHwthreads', 'numAcc', 'energy'])

export function toOrderInput(sort: Sort): OrderInput {
  return {
    field: sort.field,
    type: COLUMNS.has(sort.field) ? 'col' : 'foot',
    order: sort.descending ? 'DESC' : 'ASC',
  }
}
