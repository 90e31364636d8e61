import { parseDuration } from '@/lib/format/time'
import { STATE_NAMES } from '@/lib/format/states'
import {
  noFilters,
  RANGE_NAMES,
  range,
  textFilter,
  type JobFilters,
  type Range,
  type RangeName,
  type TextFilter,
} from './filters'
import { tokens, type Operator, type Token } from './filter-tokens'

/** What a typed filter says, and what of it cannot be read, in words. */
export interface TypedFilter {
  filters: JobFilters
  errors: string[]
}

type TextKey = 'jobId' | 'user' | 'project' | 'node'
type RangeKey = 'numNodes' | 'numHWThreads' | 'numAccelerators' | 'energy' | 'duration'
type WordKey = 'cluster' | 'subCluster' | 'partition' | 'shared' | 'schedule' | 'jobName'

/** Words that begin a term; the first spelling of each filter is the one we write. */
const TEXT_WORDS: Record<string, TextKey> = {
  job: 'jobId',
  jobid: 'jobId',
  user: 'user',
  username: 'user',
  project: 'project',
  projectid: 'project',
  account: 'project',
  node: 'node',
  host: 'node',
}
const RANGE_WORDS: Record<string, RangeKey> = {
  nodes: 'numNodes',
  threads: 'numHWThreads',
  gpus: 'numAccelerators',
  gpu: 'numAccelerators',
  acc: 'numAccelerators',
  energy: 'energy',
  duration: 'duration',
  dur: 'duration',
}
const PLAIN_WORDS: Record<string, WordKey> = {
  name: 'jobName',
  jobname: 'jobName',
  cluster: 'cluster',
  sub: 'subCluster',
  subcluster: 'subCluster',
  partition: 'partition',
  shared: 'shared',
  schedule: 'schedule',
}
/** What `:` means for a text: the same as the parameter of an address alone. */
const COLON: Record<TextKey, TextFilter['match']> = {
  jobId: 'eq',
  user: 'contains',
  project: 'eq',
  node: 'eq',
}
const KNOWN: Partial<Record<WordKey, readonly string[]>> = {
  shared: ['none', 'single_user', 'multi_user'],
  schedule: ['interactive', 'batch'],
}

/**
 * Reads `state:failed user:ab gpus>=4 name:"my run"`.
 *
 * A term is a word, a sign (`:` `=` `~` `>=` `<=`) and a value; a number alone is a job id, any
 * other word alone a part of the job's name; `mem_bw_avg>=10` filters by a footprint value.
 */
export function parseTypedFilter(text: string): TypedFilter {
  const result: TypedFilter = { filters: noFilters(), errors: [] }
  for (const token of tokens(text)) {
    const error = apply(result.filters, token)
    if (error !== null) result.errors.push(`${token.text}: ${error}`)
  }
  return result
}

/** Puts one term into the filters; gives what is wrong with it, if anything. */
function apply(filters: JobFilters, token: Token): string | null {
  const { word, operator, values } = token
  if (operator === null) return applyBare(filters, values[0] ?? '')
  const [value = ''] = values
  if (value === '') return 'a value is missing'
  const key = word.toLowerCase()
  const text = TEXT_WORDS[key]
  if (text !== undefined) return applyText(filters, text, operator, values)
  const plain = PLAIN_WORDS[key]
  if (plain !== undefined) {
    const known = KNOWN[plain]
    if (known && !known.includes(value)) return `one of ${known.join(', ')}`
    filters[plain] = value
    return null
  }
  const bounded = RANGE_WORDS[key]
  if (bounded !== undefined) return applyRange(filters, bounded, operator, value)
  return applySpecial(filters, token, key)
}

function applyBare(filters: JobFilters, value: string): string | null {
  if (/^\d+$/.test(value)) {
    filters.jobId = textFilter('eq', [...(filters.jobId?.values ?? []), value])
  } else {
    filters.jobName = filters.jobName === null ? value : `${filters.jobName} ${value}`
  }
  return null
}

function applyText(
  filters: JobFilters,
  key: TextKey,
  operator: Operator,
  values: string[],
): string | null {
  if (operator === '>=' || operator === '<=') return 'use : = or ~'
  const several = key === 'jobId' || key === 'user'
  if (values.length > 1 && !several) return 'only one value is possible'
  const match = operator === '=' ? 'eq' : operator === '~' ? 'contains' : COLON[key]
  filters[key] = textFilter(match, values)
  return null
}

function applyRange(
  filters: JobFilters,
  key: RangeKey,
  operator: Operator,
  value: string,
): string | null {
  const parse =
    key === 'duration' ? parseDuration : key === 'energy' ? parseNumber : parseWholeNumber
  const bounds = parseBounds(operator, value, parse)
  if (bounds === null) return key === 'duration' ? 'e.g. >=2h or 10m..1h' : 'e.g. >=4 or 2..8'
  filters[key] = merge(filters[key], bounds)
  return null
}

/** `>=2 <=8` is one range. */
function merge(old: Range | null, added: Range): Range {
  if (!old) return added
  return { from: added.from || old.from, to: added.to || old.to }
}

function parseNumber(text: string): number | null {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : null
}

function parseWholeNumber(text: string): number | null {
  return /^\d+$/.test(text) ? Number(text) : null
}

function parseBounds(
  operator: Operator,
  value: string,
  parse: (text: string) => number | null,
): Range | null {
  const [low = '', high] = value.split('..')
  const from = low === '' ? 0 : parse(low)
  if (from === null) return null
  if (high !== undefined) {
    const to = high === '' ? 0 : parse(high)
    return to === null ? null : range(from, to)
  }
  if (operator === '>=') return range(from, 0)
  if (operator === '<=') return range(0, from)
  return range(from, from)
}

function applySpecial(filters: JobFilters, token: Token, key: string): string | null {
  const { operator, values } = token
  const [value = ''] = values
  switch (key) {
    case 'state':
      return applyStates(filters, values)
    case 'start':
      return applyStart(filters, operator ?? ':', value)
    case 'array':
    case 'arrayjobid':
      if (!/^\d+$/.test(value)) return 'a number is expected'
      filters.arrayJobId = Number(value)
      return null
    case 'tag':
      if (!values.every((id) => /^-?\d+$/.test(id))) return 'the number of a tag is expected'
      filters.tags = [...new Set([...filters.tags, ...values.map(Number)])]
      return null
    case 'db':
    case 'dbid':
      if (!values.every((id) => /^\d+$/.test(id))) return 'a number is expected'
      filters.dbId = [...new Set([...filters.dbId, ...values])]
      return null
    default:
      return applyStat(filters, token)
  }
}

function applyStates(filters: JobFilters, values: string[]): string | null {
  const unknown = values.find((state) => !STATE_NAMES.includes(state))
  if (unknown !== undefined) return `unknown state, one of ${STATE_NAMES.join(', ')}`
  const wanted = new Set([...filters.state, ...values])
  filters.state =
    wanted.size === STATE_NAMES.length ? [] : STATE_NAMES.filter((state) => wanted.has(state))
  return null
}

function applyStart(filters: JobFilters, operator: Operator, value: string): string | null {
  if ((RANGE_NAMES as readonly string[]).includes(value)) {
    filters.startTime = { range: value as RangeName }
    return null
  }
  const [low = '', high] = value.split('..')
  const lower = low === '' ? null : parseInstant(low)
  const upper = high === undefined || high === '' ? null : parseInstant(high)
  const bad = Number.isNaN(lower ?? 0) || Number.isNaN(upper ?? 0)
  if (bad || (lower === null && upper === null))
    return 'e.g. last7d or 2026-03-01..2026-03-02T12:00'
  if (high !== undefined) {
    filters.startTime = { from: lower, to: upper }
    return null
  }
  const old = filters.startTime && 'from' in filters.startTime ? filters.startTime : null
  if (operator === '<=') filters.startTime = { from: old?.from ?? null, to: lower }
  else filters.startTime = { from: lower, to: old?.to ?? null }
  return null
}

/** Unix seconds of an ISO date or date and time (local unless it says otherwise); NaN if none. */
function parseInstant(text: string): number {
  if (!/^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?$/.test(text)) return NaN
  return Date.parse(text.includes('T') ? text : `${text}T00:00`) / 1000
}

function applyStat(filters: JobFilters, token: Token): string | null {
  const { word, operator, values } = token
  const isField = /^\w+_(avg|min|max)$/.test(word)
  if (!isField) return 'unknown word'
  const bounds = parseBounds(operator ?? ':', values[0] ?? '', parseNumber)
  if (bounds === null) return 'e.g. >=10 or 10..50'
  const at = filters.stats.findIndex((stat) => stat.field === word)
  const old = filters.stats[at] ?? null
  const merged = { field: word, ...merge(old, bounds) }
  filters.stats = at < 0 ? [...filters.stats, merged] : filters.stats.with(at, merged)
  return null
}

/** The words in which a filter is shown and typed; `parseTypedFilter` reads them back. */
export { formatTypedFilter } from './filter-text-format'
