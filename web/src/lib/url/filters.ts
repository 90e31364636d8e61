/** Both bounds inclusive; 0 is an open end. */
export interface Range {
  from: number
  to: number
}

export interface TextFilter {
  match: 'eq' | 'contains' | 'in'
  /** One value, or several when `match` is `in`. */
  values: string[]
}

export const RANGE_NAMES = ['last6h', 'last24h', 'last7d', 'last30d'] as const
export type RangeName = (typeof RANGE_NAMES)[number]

/** Unix seconds; an end may be open. */
export type TimeFilter = { range: RangeName } | { from: number | null; to: number | null }

export interface StatFilter extends Range {
  /** Footprint key, e.g. `mem_bw_avg`. */
  field: string
}

/** Everything a job list can be filtered by (all of it ANDed); null or empty: not filtered. */
export interface JobFilters {
  dbId: string[]
  jobId: TextFilter | null
  arrayJobId: number | null
  jobName: string | null
  project: TextFilter | null
  user: TextFilter | null
  cluster: string | null
  subCluster: string | null
  partition: string | null
  state: string[]
  shared: string | null
  schedule: string | null
  startTime: TimeFilter | null
  duration: Range | null
  tags: number[]
  numNodes: Range | null
  numHWThreads: Range | null
  numAccelerators: Range | null
  node: TextFilter | null
  energy: Range | null
  stats: StatFilter[]
}

export type FilterKey = keyof JobFilters

/** Order in which filters are written to the URL and shown as chips. */
export const FILTER_KEYS: readonly FilterKey[] = [
  'dbId',
  'jobId',
  'arrayJobId',
  'jobName',
  'project',
  'user',
  'cluster',
  'subCluster',
  'partition',
  'state',
  'shared',
  'schedule',
  'startTime',
  'duration',
  'tags',
  'numNodes',
  'numHWThreads',
  'numAccelerators',
  'node',
  'energy',
  'stats',
]

export function noFilters(): JobFilters {
  return {
    dbId: [],
    jobId: null,
    arrayJobId: null,
    jobName: null,
    project: null,
    user: null,
    cluster: null,
    subCluster: null,
    partition: null,
    state: [],
    shared: null,
    schedule: null,
    startTime: null,
    duration: null,
    tags: [],
    numNodes: null,
    numHWThreads: null,
    numAccelerators: null,
    node: null,
    energy: null,
    stats: [],
  }
}

export function isSet(filters: JobFilters, key: FilterKey): boolean {
  const value = filters[key]
  return Array.isArray(value) ? value.length > 0 : value !== null
}

export function activeKeys(filters: JobFilters): FilterKey[] {
  return FILTER_KEYS.filter((key) => isSet(filters, key))
}

/** A copy without this filter; for `stats`, `index` drops only one of them. */
export function without(filters: JobFilters, key: FilterKey, index?: number): JobFilters {
  if (key === 'stats' && index !== undefined) {
    return { ...filters, stats: filters.stats.filter((_, at) => at !== index) }
  }
  const cleared: JobFilters = { ...filters, [key]: noFilters()[key] }
  if (key === 'cluster') {
    cleared.subCluster = null
    cleared.partition = null
  }
  return cleared
}

/** A text filter in its one spelling: several values are `in`, a single one never is. */
export function textFilter(match: TextFilter['match'], values: string[]): TextFilter | null {
  const kept = [...new Set(values.filter((value) => value !== ''))]
  if (kept.length === 0) return null
  if (kept.length > 1) return { match: 'in', values: kept }
  return { match: match === 'in' ? 'eq' : match, values: kept }
}

/** A range with at least one bound, else null. */
export function range(from: number, to: number): Range | null {
  const valid = Number.isFinite(from) && Number.isFinite(to) && from >= 0 && to >= 0
  return valid && (from > 0 || to > 0) ? { from, to } : null
}
