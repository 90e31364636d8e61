import { durationText, formatInstant } from '@/lib/format/time'
import type { FilterKey, JobFilters, Range, TextFilter, TimeFilter } from './filters'
import { activeKeys } from './filters'
import { quote } from './filter-tokens'

const WORDS: Record<FilterKey, string> = {
  dbId: 'db',
  jobId: 'job',
  arrayJobId: 'array',
  jobName: 'name',
  project: 'project',
  user: 'user',
  cluster: 'cluster',
  subCluster: 'sub',
  partition: 'partition',
  state: 'state',
  shared: 'shared',
  schedule: 'schedule',
  startTime: 'start',
  duration: 'duration',
  tags: 'tag',
  numNodes: 'nodes',
  numHWThreads: 'threads',
  numAccelerators: 'gpus',
  node: 'node',
  energy: 'energy',
  stats: '',
}

const COLON_MEANS: Partial<Record<FilterKey, TextFilter['match']>> = {
  jobId: 'eq',
  user: 'contains',
  project: 'eq',
  node: 'eq',
}

function textTerm(key: FilterKey, filter: TextFilter): string {
  const values = filter.values.map(quote).join(',')
  const plain = filter.match === 'in' || filter.match === COLON_MEANS[key]
  return `${WORDS[key]}${plain ? ':' : filter.match === 'eq' ? '=' : '~'}${values}`
}

function rangeTerm(word: string, { from, to }: Range, write: (value: number) => string): string {
  if (from > 0 && to > 0) return `${word}:${write(from)}..${write(to)}`
  return to > 0 ? `${word}<=${write(to)}` : `${word}>=${write(from)}`
}

/** Local date and time, or with its offset where the local text would mean another instant. */
function instant(unixSeconds: number): string {
  const date = new Date(unixSeconds * 1000)
  const local = formatInstant(date).replace(' ', 'T')
  return Date.parse(local) === date.getTime() ? local : date.toISOString().replace('.000Z', 'Z')
}

function timeTerm(filter: TimeFilter): string {
  if ('range' in filter) return `start:${filter.range}`
  const { from, to } = filter
  return `start:${from === null ? '' : instant(from)}..${to === null ? '' : instant(to)}`
}

/** One term for one filter; `stats` has one per entry. */
function terms(filters: JobFilters, key: FilterKey): string[] {
  const word = WORDS[key]
  switch (key) {
    case 'stats':
      return filters.stats.map((stat) => rangeTerm(stat.field, stat, String))
    case 'jobId':
    case 'user':
    case 'project':
    case 'node':
      return filters[key] ? [textTerm(key, filters[key])] : []
    case 'duration':
      return filters.duration ? [rangeTerm(word, filters.duration, durationText)] : []
    case 'numNodes':
    case 'numHWThreads':
    case 'numAccelerators':
    case 'energy':
      return filters[key] ? [rangeTerm(word, filters[key], String)] : []
    case 'startTime':
      return filters.startTime ? [timeTerm(filters.startTime)] : []
    case 'state':
    case 'tags':
    case 'dbId':
      return [`${word}:${filters[key].join(',')}`]
    default:
      return [`${word}:${quote(String(filters[key]))}`]
  }
}

export function formatTypedFilter(filters: JobFilters): string {
  return activeKeys(filters)
    .flatMap((key) => terms(filters, key))
    .join(' ')
}
