import { parseFilters, writeFilters } from './filter-query'
import { noFilters, type JobFilters } from './filters'

export interface Sort {
  /** A column (`startTime`, `duration`, …) or a footprint key such as `mem_bw_avg`. */
  field: string
  descending: boolean
}

export const DEFAULT_SORT: Sort = { field: 'startTime', descending: true }

export type Density = 'table' | 'plots'
export type PlotScale = 'shared' | 'own' | 'peak'

/** All that the job list shows; its address says no more and no less. */
export interface JobListState {
  filters: JobFilters
  sort: Sort
  density: Density
  /** Metrics to show in this order; null: the default of site and browser. */
  metrics: string[] | null
  scale: PlotScale
  /** First row on the screen, counting from 1. */
  row: number
}

export function defaultJobListState(): JobListState {
  return {
    filters: noFilters(),
    sort: DEFAULT_SORT,
    density: 'table',
    metrics: null,
    scale: 'shared',
    row: 1,
  }
}

function parseSort(text: string | null): Sort {
  const match = /^(\w+):(asc|desc)$/.exec(text ?? '')
  return match ? { field: match[1] ?? '', descending: match[2] === 'desc' } : DEFAULT_SORT
}

export function parseNames(text: string | null): string[] | null {
  if (text === null) return null
  const names = [...new Set(text.split(',').filter((name) => /^[\w.-]+$/.test(name)))]
  return names.length > 0 ? names : null
}

export function parseJobList(search: string): { state: JobListState; ignored: string[] } {
  const query = new URLSearchParams(search)
  const { filters, ignored } = parseFilters(query)
  const row = Number(query.get('row') ?? 1)
  const scale = query.get('scale')
  return {
    ignored,
    state: {
      filters,
      sort: parseSort(query.get('sort')),
      density: query.get('density') === 'plots' ? 'plots' : 'table',
      metrics: parseNames(query.get('metrics')),
      scale: scale === 'own' || scale === 'peak' ? scale : 'shared',
      row: Number.isSafeInteger(row) && row > 0 ? row : 1,
    },
  }
}

/** The query string of a state, with its `?`; empty when all is as by default. */
export function formatJobList(state: JobListState): string {
  const query = new URLSearchParams()
  writeFilters(state.filters, query)
  const { field, descending } = state.sort
  if (field !== DEFAULT_SORT.field || descending !== DEFAULT_SORT.descending) {
    query.append('sort', `${field}:${descending ? 'desc' : 'asc'}`)
  }
  if (state.density !== 'table') query.append('density', state.density)
  if (state.metrics !== null) query.append('metrics', state.metrics.join(','))
  if (state.scale !== 'shared') query.append('scale', state.scale)
  if (state.row > 1) query.append('row', String(state.row))
  const text = readable(query)
  return text === '' ? '' : `?${text}`
}

/** Percent-encodes what must be, and leaves `:`, `,` and `/` legible. */
export function readable(query: URLSearchParams): string {
  return query.toString().replaceAll('%3A', ':').replaceAll('%2C', ',').replaceAll('%2F', '/')
}
