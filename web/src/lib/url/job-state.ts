import { parseNames, readable } from './job-list-state'

/** One series picked out of a plot of many. */
export interface Isolated {
  metric: string
  host: string
  /** Unit below the node; null: the node itself. */
  id: string | null
}

export type YAxis = 'zero' | 'fit' | 'peak'
export type JobTab = 'hosts' | 'script' | 'scheduler'

/** All that the job view shows beside the job. */
export interface JobViewState {
  /** Metrics to plot in this order; null: all of the subcluster. */
  metrics: string[] | null
  /** Scope of all plots; null: chosen by the number of nodes. */
  scope: string | null
  /** Scope of single metrics, over `scope`. */
  scopes: Record<string, string>
  /** Only series of this host. */
  host: string | null
  /** Seconds since the start of the job. */
  zoom: [from: number, to: number] | null
  isolated: Isolated[]
  yAxis: YAxis
  tab: JobTab
}

export function defaultJobViewState(): JobViewState {
  return {
    metrics: null,
    scope: null,
    scopes: {},
    host: null,
    zoom: null,
    isolated: [],
    yAxis: 'zero',
    tab: 'hosts',
  }
}

export const SCOPES = ['node', 'socket', 'memoryDomain', 'core', 'hwthread', 'accelerator'] as const

const isScope = (text: string): boolean => (SCOPES as readonly string[]).includes(text)

function parseZoom(text: string | null): [number, number] | null {
  const match = /^(\d+)-(\d+)$/.exec(text ?? '')
  if (!match) return null
  const from = Number(match[1])
  const to = Number(match[2])
  return from < to ? [from, to] : null
}

/** `metric:host` or `metric:host/id`; neither metric nor host contains the sign that follows it. */
function parseIsolated(text: string): Isolated | null {
  const match = /^([\w.-]+):([^/]+)(?:\/(.+))?$/.exec(text)
  if (!match) return null
  return { metric: match[1] ?? '', host: match[2] ?? '', id: match[3] ?? null }
}

export function parseJobView(search: string): JobViewState {
  const query = new URLSearchParams(search)
  const state = defaultJobViewState()
  for (const part of (query.get('scope') ?? '').split(',')) {
    const [name = '', scope] = part.split(':')
    if (scope === undefined && isScope(name)) state.scope = name
    else if (scope !== undefined && isScope(scope)) state.scopes[name] = scope
  }
  const yAxis = query.get('y')
  const tab = query.get('tab')
  return {
    ...state,
    metrics: parseNames(query.get('metrics')),
    host: query.get('host') || null,
    zoom: parseZoom(query.get('zoom')),
    isolated: query.getAll('series').flatMap((text) => parseIsolated(text) ?? []),
    yAxis: yAxis === 'fit' || yAxis === 'peak' ? yAxis : 'zero',
    tab: tab === 'script' || tab === 'scheduler' ? tab : 'hosts',
  }
}

export function formatJobView(state: JobViewState): string {
  const query = new URLSearchParams()
  if (state.metrics !== null) query.append('metrics', state.metrics.join(','))
  const scopes = Object.entries(state.scopes).map(([metric, scope]) => `${metric}:${scope}`)
  const scope = [...(state.scope === null ? [] : [state.scope]), ...scopes]
  if (scope.length > 0) query.append('scope', scope.join(','))
  if (state.host !== null) query.append('host', state.host)
  if (state.zoom !== null) query.append('zoom', `${state.zoom[0]}-${state.zoom[1]}`)
  for (const { metric, host, id } of state.isolated) {
    query.append('series', `${metric}:${host}${id === null ? '' : `/${id}`}`)
  }
  if (state.yAxis !== 'zero') query.append('y', state.yAxis)
  if (state.tab !== 'hosts') query.append('tab', state.tab)
  const text = readable(query)
  return text === '' ? '' : `?${text}`
}
