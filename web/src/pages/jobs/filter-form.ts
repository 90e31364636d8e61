import { durationText, parseDuration } from '@/lib/format/time'
import { range, textFilter, type JobFilters, type Range, type StatFilter } from '@/lib/url/filters'

/** The filters as the fields of a form hold them: texts, as people type them. */
export interface FilterForm {
  states: string[]
  cluster: string
  subCluster: string
  partition: string
  user: string
  userMatch: 'eq' | 'contains'
  project: string
  projectMatch: 'eq' | 'contains'
  jobName: string
  jobId: string
  arrayJobId: string
  node: string
  nodeMatch: 'eq' | 'contains'
  /** A range name, `between`, or empty. */
  start: string
  startFrom: string
  startTo: string
  duration: Bounds
  numNodes: Bounds
  numHWThreads: Bounds
  numAccelerators: Bounds
  energy: Bounds
  shared: string
  schedule: string
  tags: number[]
  stats: (Bounds & { field: string })[]
}

export interface Bounds {
  from: string
  to: string
}

function bounds(value: Range | null, write: (bound: number) => string = String): Bounds {
  return {
    from: value && value.from > 0 ? write(value.from) : '',
    to: value && value.to > 0 ? write(value.to) : '',
  }
}

/** Unix seconds as a field for date and time holds them; with seconds only where there are any. */
function localText(unix: number | null): string {
  if (unix === null) return ''
  const date = new Date(unix * 1000)
  const local = new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString()
  return local.slice(0, unix % 60 === 0 ? 16 : 19)
}

function unixOf(text: string): number | null {
  const at = Date.parse(text)
  return Number.isNaN(at) ? null : Math.floor(at / 1000)
}

export function toForm(filters: JobFilters): FilterForm {
  const { startTime } = filters
  const between = startTime !== null && 'from' in startTime
  const match = (filter: { match: string } | null, fallback: 'eq' | 'contains') =>
    filter?.match === 'eq' || filter?.match === 'in'
      ? ('eq' as const)
      : filter
        ? ('contains' as const)
        : fallback
  return {
    states: [...filters.state],
    cluster: filters.cluster ?? '',
    subCluster: filters.subCluster ?? '',
    partition: filters.partition ?? '',
    user: filters.user?.values.join(', ') ?? '',
    userMatch: match(filters.user, 'contains'),
    project: filters.project?.values[0] ?? '',
    projectMatch: match(filters.project, 'contains'),
    jobName: filters.jobName ?? '',
    jobId: filters.jobId?.values.join(', ') ?? '',
    arrayJobId: filters.arrayJobId === null ? '' : String(filters.arrayJobId),
    node: filters.node?.values[0] ?? '',
    nodeMatch: match(filters.node, 'eq'),
    start: startTime === null ? '' : 'range' in startTime ? startTime.range : 'between',
    startFrom: between ? localText(startTime.from) : '',
    startTo: between ? localText(startTime.to) : '',
    duration: bounds(filters.duration, durationText),
    numNodes: bounds(filters.numNodes),
    numHWThreads: bounds(filters.numHWThreads),
    numAccelerators: bounds(filters.numAccelerators),
    energy: bounds(filters.energy),
    shared: filters.shared ?? '',
    schedule: filters.schedule ?? '',
    tags: [...filters.tags],
    stats: filters.stats.map((stat) => ({ field: stat.field, ...bounds(stat) })),
  }
}

function toRange({ from, to }: Bounds, parse: (text: string) => number | null): Range | null {
  const low = from.trim() === '' ? 0 : parse(from)
  const high = to.trim() === '' ? 0 : parse(to)
  return low === null || high === null ? null : range(low, high)
}

const whole = (text: string): number | null => (/^\s*\d+\s*$/.test(text) ? Number(text) : null)
const decimal = (text: string): number | null =>
  /^\s*\d+(\.\d+)?\s*$/.test(text) ? Number(text) : null
const list = (text: string): string[] => text.split(/[\s,]+/).filter((value) => value !== '')
const orNull = (text: string): string | null => (text.trim() === '' ? null : text.trim())

/** What the form says; `old` keeps what it has no field for. */
export function fromForm(form: FilterForm, old: JobFilters): JobFilters {
  return {
    ...old,
    state: form.states,
    cluster: orNull(form.cluster),
    subCluster: form.cluster === '' ? null : orNull(form.subCluster),
    partition: form.cluster === '' ? null : orNull(form.partition),
    user: textFilter(form.userMatch, list(form.user)),
    project: textFilter(form.projectMatch, [form.project.trim()]),
    jobName: orNull(form.jobName),
    jobId: textFilter(old.jobId?.match === 'contains' ? 'contains' : 'eq', list(form.jobId)),
    arrayJobId: whole(form.arrayJobId),
    node: textFilter(form.nodeMatch, [form.node.trim()]),
    startTime: toStart(form),
    duration: toRange(form.duration, parseDuration),
    numNodes: toRange(form.numNodes, whole),
    numHWThreads: toRange(form.numHWThreads, whole),
    numAccelerators: toRange(form.numAccelerators, whole),
    energy: toRange(form.energy, decimal),
    shared: orNull(form.shared),
    schedule: orNull(form.schedule),
    tags: form.tags,
    stats: form.stats.flatMap((stat): StatFilter[] => {
      const found = toRange(stat, decimal)
      return found ? [{ field: stat.field, ...found }] : []
    }),
  }
}

function toStart(form: FilterForm): JobFilters['startTime'] {
  if (form.start === '') return null
  if (form.start !== 'between') return { range: form.start as 'last6h' }
  const from = unixOf(form.startFrom)
  const to = unixOf(form.startTo)
  return from === null && to === null ? null : { from, to }
}

/** What is wrong with a field, by its name; empty when nothing is. */
export function formErrors(form: FilterForm): Record<string, string> {
  const errors: Record<string, string> = {}
  const check = (
    name: string,
    { from, to }: Bounds,
    parse: (text: string) => number | null,
    hint: string,
  ) => {
    const bad = [from, to].some((text) => text.trim() !== '' && parse(text) === null)
    if (bad) errors[name] = hint
  }
  check('duration', form.duration, parseDuration, 'e.g. 30m, 2h, 1d 12h')
  check('numNodes', form.numNodes, whole, 'a whole number')
  check('numHWThreads', form.numHWThreads, whole, 'a whole number')
  check('numAccelerators', form.numAccelerators, whole, 'a whole number')
  check('energy', form.energy, decimal, 'a number')
  for (const stat of form.stats) check(stat.field, stat, decimal, 'a number')
  if (form.arrayJobId.trim() !== '' && whole(form.arrayJobId) === null) {
    errors['arrayJobId'] = 'a whole number'
  }
  if (list(form.jobId).some((id) => whole(id) === null)) errors['jobId'] = 'whole numbers'
  return errors
}
