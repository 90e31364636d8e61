import { formatCount, formatQuantity, NBSP, plural } from '@/lib/format/number'
import { lookOfState, SHARED_WORDS } from '@/lib/format/states'
import { formatDuration, formatInstant } from '@/lib/format/time'
import {
  activeKeys,
  type FilterKey,
  type JobFilters,
  type Range,
  type TextFilter,
  type TimeFilter,
} from './filters'

/** One active filter in words. */
export interface Chip {
  key: FilterKey
  /** Which of several `stats`. */
  index?: number
  text: string
}

export const RANGE_WORDS: Readonly<Record<string, string>> = {
  last6h: 'the last 6 hours',
  last24h: 'the last 24 hours',
  last7d: 'the last 7 days',
  last30d: 'the last 30 days',
}

/** Names for what a chip only has the number of. */
export interface ChipNames {
  tag(id: number): string | null
  /** Unit of a footprint key such as `mem_bw_avg`. */
  unit(field: string): { base: string; prefix?: string | null } | null
}

function textWords(name: string, filter: TextFilter): string {
  if (filter.match === 'contains') return `${name} contains ${filter.values[0] ?? ''}`
  return `${name} ${filter.values.join(', ')}`
}

function rangeWords(name: string, { from, to }: Range, write: (value: number) => string): string {
  if (from > 0 && to > 0) {
    return from === to ? `${name} ${write(from)}` : `${name} ${write(from)} – ${write(to)}`
  }
  return to > 0 ? `${name} ≤${NBSP}${write(to)}` : `${name} ≥${NBSP}${write(from)}`
}

function timeWords(filter: TimeFilter): string {
  if ('range' in filter) return `Started in ${RANGE_WORDS[filter.range] ?? filter.range}`
  const write = (unix: number): string => formatInstant(new Date(unix * 1000), unix % 60 !== 0)
  if (filter.from !== null && filter.to !== null) {
    return `Started ${write(filter.from)} – ${write(filter.to)}`
  }
  if (filter.from !== null) return `Started after ${write(filter.from)}`
  return filter.to === null ? 'Started at any time' : `Started before ${write(filter.to)}`
}

function words(filters: JobFilters, key: FilterKey, names: ChipNames): string {
  switch (key) {
    case 'dbId':
      return plural(filters.dbId.length, 'chosen job')
    case 'jobId':
      return filters.jobId ? textWords('Job', filters.jobId) : ''
    case 'arrayJobId':
      return `Array job ${filters.arrayJobId}`
    case 'jobName':
      return `Name contains ${filters.jobName}`
    case 'project':
      return filters.project ? textWords('Project', filters.project) : ''
    case 'user':
      return filters.user ? textWords('User', filters.user) : ''
    case 'node':
      return filters.node ? textWords('Node', filters.node) : ''
    case 'cluster':
      return `Cluster ${filters.cluster}`
    case 'subCluster':
      return `Subcluster ${filters.subCluster}`
    case 'partition':
      return `Partition ${filters.partition}`
    case 'state':
      return filters.state.map((state) => lookOfState(state).word).join(', ')
    case 'shared':
      return SHARED_WORDS[filters.shared ?? ''] ?? ''
    case 'schedule':
      return filters.schedule === 'interactive' ? 'Interactive' : 'Batch'
    case 'startTime':
      return filters.startTime ? timeWords(filters.startTime) : ''
    case 'tags':
      return `Tag ${filters.tags.map((id) => names.tag(id) ?? `#${id}`).join(' or ')}`
    default:
      return numberWords(filters, key)
  }
}

function numberWords(filters: JobFilters, key: FilterKey): string {
  if (key === 'duration' && filters.duration) {
    return rangeWords('Duration', filters.duration, formatDuration)
  }
  if (key === 'energy' && filters.energy) {
    return rangeWords('Energy', filters.energy, (value) => `${value}${NBSP}kWh`)
  }
  if (key === 'numNodes' && filters.numNodes)
    return rangeWords('Nodes', filters.numNodes, formatCount)
  if (key === 'numHWThreads' && filters.numHWThreads) {
    return rangeWords('Hardware threads', filters.numHWThreads, formatCount)
  }
  if (key === 'numAccelerators' && filters.numAccelerators) {
    return rangeWords('Accelerators', filters.numAccelerators, formatCount)
  }
  return ''
}

/** A chip for every active filter, also for those that came with a link; `stats` one each. */
export function chipsOf(filters: JobFilters, names: ChipNames): Chip[] {
  return activeKeys(filters).flatMap((key): Chip[] => {
    if (key !== 'stats') return [{ key, text: words(filters, key, names) }]
    return filters.stats.map((stat, index) => {
      const unit = names.unit(stat.field) ?? { base: '' }
      const text = rangeWords(stat.field, stat, (value) => formatQuantity(value, unit))
      return { key, index, text }
    })
  })
}
