import { STATE_NAMES } from '@/lib/format/states'
import {
  noFilters,
  RANGE_NAMES,
  range,
  textFilter,
  type JobFilters,
  type Range,
  type RangeName,
  type StatFilter,
  type TextFilter,
  type TimeFilter,
} from './filters'

/** What a query string says, and the parts of it that say nothing. */
export interface Parsed {
  filters: JobFilters
  /** `name=value` of parameters that were left out because their value cannot be read. */
  ignored: string[]
}

const first = (query: URLSearchParams, name: string): string | null => {
  const value = query.get(name)
  return value === null || value === '' ? null : value
}

/**
 * Reads the filters of an address.
 *
 * Old addresses keep their meaning: without its `…Match` parameter, `project` and `node` mean the
 * exact name, a single `user` a part of it, and values that cannot be read are left out.
 */
export function parseFilters(query: URLSearchParams): Parsed {
  const ignored: string[] = []
  const read = <T>(name: string, parse: (text: string) => T | null): T | null => {
    const text = first(query, name)
    if (text === null) return null
    const value = parse(text)
    if (value === null) ignored.push(`${name}=${text}`)
    return value
  }
  const filters: JobFilters = {
    ...noFilters(),
    dbId: [...new Set(query.getAll('dbId').filter((id) => /^\d+$/.test(id)))],
    jobId: readText(query, 'jobId', 'eq'),
    arrayJobId: read('arrayJobId', parseInteger),
    jobName: first(query, 'jobName'),
    project: readText(query, 'project', 'eq'),
    user: readText(query, 'user', 'contains'),
    cluster: first(query, 'cluster'),
    subCluster: first(query, 'subCluster'),
    partition: first(query, 'partition'),
    state: readStates(query.getAll('state'), ignored),
    shared: read('shared', oneOf(['none', 'single_user', 'multi_user'])),
    schedule: read('schedule', oneOf(['interactive', 'batch'])),
    startTime: read('startTime', parseStartTime),
    duration: read('duration', parseRange),
    tags: [...new Set(query.getAll('tag').map((text) => parseInteger(text) ?? -1))],
    numNodes: read('numNodes', parseRange),
    numHWThreads: read('numHWThreads', parseRange),
    numAccelerators: read('numAccelerators', parseRange),
    node: readText(query, 'node', 'eq'),
    energy: read('energy', parseDecimalRange),
    stats: query.getAll('stat').flatMap((text) => {
      const stat = parseStat(text)
      if (stat === null) ignored.push(`stat=${text}`)
      return stat ?? []
    }),
  }
  return { filters, ignored }
}

const MULTIPLE = new Set(['jobId', 'user'])

function readText(
  query: URLSearchParams,
  name: string,
  legacy: 'eq' | 'contains',
): TextFilter | null {
  const values = query.getAll(name)
  if (values[0] === '' || values[0] === undefined) return null
  const match = query.get(`${name}Match`)
  const chosen = match === 'eq' || match === 'contains' ? match : legacy
  return textFilter(chosen, MULTIPLE.has(name) ? values : values.slice(0, 1))
}

function readStates(values: string[], ignored: string[]): string[] {
  const states = new Set<string>()
  for (const value of values) {
    if (STATE_NAMES.includes(value)) states.add(value)
    else if (value !== '') ignored.push(`state=${value}`)
  }
  return states.size === STATE_NAMES.length ? [] : STATE_NAMES.filter((state) => states.has(state))
}

const oneOf =
  (known: readonly string[]) =>
  (text: string): string | null =>
    known.includes(text) ? text : null

function parseInteger(text: string): number | null {
  return /^\d+$/.test(text) ? Number(text) : null
}

/** A decimal number without sign or exponent. */
function parseDecimal(text: string): number | null {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : null
}

/** `lessthan-N`, `morethan-N`, `A-B` with whole numbers. */
function parseRange(text: string): Range | null {
  return rangeWith(text, parseInteger)
}

function parseDecimalRange(text: string): Range | null {
  return rangeWith(text, parseDecimal)
}

function rangeWith(text: string, parse: (bound: string) => number | null): Range | null {
  const parts = text.split('-')
  if (parts.length !== 2) return null
  const bound = parse(parts[1] ?? '')
  if (bound === null) return null
  if (parts[0] === 'lessthan') return range(0, bound)
  if (parts[0] === 'morethan') return range(bound, 0)
  const from = parse(parts[0] ?? '')
  return from === null ? null : range(from, bound)
}

function formatRange({ from, to }: Range): string {
  if (from > 0 && to > 0) return `${from}-${to}`
  return to > 0 ? `lessthan-${to}` : `morethan-${from}`
}

/** A range name, `A-B`, `A-` or `-B` in Unix seconds. */
function parseStartTime(text: string): TimeFilter | null {
  if ((RANGE_NAMES as readonly string[]).includes(text)) return { range: text as RangeName }
  const match = /^(\d*)-(\d*)$/.exec(text)
  if (!match || text === '-') return null
  const bound = (digits: string | undefined): number | null => (digits ? Number(digits) : null)
  return { from: bound(match[1]), to: bound(match[2]) }
}

/** `<field>-lessthan-N`, `<field>-morethan-N`, `<field>-A-B`, or `<field>:<from>..<to>`. */
function parseStat(text: string): StatFilter | null {
  const own = /^(.+):(\d+(?:\.\d+)?)?\.\.(\d+(?:\.\d+)?)?$/.exec(text)
  if (own) {
    const bounds = range(Number(own[2] ?? 0), Number(own[3] ?? 0))
    return bounds && { field: own[1] ?? '', ...bounds }
  }
  const parts = text.split('-')
  if (parts.length !== 3 || parts[0] === '') return null
  const bounds = parseDecimalRange(`${parts[1]}-${parts[2]}`)
  return bounds && { field: parts[0] ?? '', ...bounds }
}

function formatStat(stat: StatFilter): string {
  if (!/[-:]/.test(stat.field)) return `${stat.field}-${formatRange(stat)}`
  return `${stat.field}:${stat.from || ''}..${stat.to || ''}`
}

/** Appends the filters to a query string, in the order old clients write them. */
export function writeFilters(filters: JobFilters, query: URLSearchParams): void {
  const one = (name: string, value: string | number | null): void => {
    if (value !== null) query.append(name, String(value))
  }
  const text = (name: string, filter: TextFilter | null, legacy: 'eq' | 'contains'): void => {
    for (const value of filter?.values ?? []) query.append(name, value)
    if (filter && filter.match !== 'in' && filter.match !== legacy) {
      query.append(`${name}Match`, filter.match)
    }
  }
  const bounds = (name: string, value: Range | null): void => {
    if (value) query.append(name, formatRange(value))
  }
  for (const id of filters.dbId) query.append('dbId', id)
  text('jobId', filters.jobId, 'eq')
  one('arrayJobId', filters.arrayJobId)
  one('jobName', filters.jobName)
  text('project', filters.project, 'eq')
  text('user', filters.user, 'contains')
  one('cluster', filters.cluster)
  one('subCluster', filters.subCluster)
  one('partition', filters.partition)
  for (const state of filters.state) query.append('state', state)
  one('shared', filters.shared)
  one('schedule', filters.schedule)
  if (filters.startTime) query.append('startTime', formatStartTime(filters.startTime))
  bounds('duration', filters.duration)
  for (const tag of filters.tags) query.append('tag', String(tag))
  bounds('numNodes', filters.numNodes)
  bounds('numHWThreads', filters.numHWThreads)
  bounds('numAccelerators', filters.numAccelerators)
  text('node', filters.node, 'eq')
  bounds('energy', filters.energy)
  for (const stat of filters.stats) query.append('stat', formatStat(stat))
}

function formatStartTime(filter: TimeFilter): string {
  return 'range' in filter ? filter.range : `${filter.from ?? ''}-${filter.to ?? ''}`
}
