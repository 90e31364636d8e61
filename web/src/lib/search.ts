import { query } from '@/lib/api/client'
import { JobLookupDocument } from '@/lib/api/documents'
import type { Catalog } from '@/lib/metrics/catalog'
import { jobPath, JOBS_PATH, userPath } from '@/lib/router.svelte'
import { noFilters, textFilter, activeKeys, type JobFilters } from '@/lib/url/filters'
import { toFilterInput } from '@/lib/url/filter-graphql'
import { parseTypedFilter } from '@/lib/url/filter-text'
import { defaultJobListState, formatJobList } from '@/lib/url/job-list-state'

/** One place a search can lead to. */
export interface Suggestion {
  address: string
  icon: string
  label: string
  detail: string
}

export function listAddress(filters: Partial<JobFilters>, path = JOBS_PATH): string {
  const state = { ...defaultJobListState(), filters: { ...noFilters(), ...filters } }
  return path + formatJobList(state)
}

/** What a text may mean, the likeliest first; without asking the server. */
export function suggestions(text: string, catalog: Catalog | null): Suggestion[] {
  const term = text.trim()
  if (term === '') return []
  if (/^\d+$/.test(term)) {
    return [
      {
        address: listAddress({ jobId: textFilter('eq', [term]) }),
        icon: 'search',
        label: `Job ${term}`,
        detail: 'by its scheduler id',
      },
    ]
  }
  const typed = parseTypedFilter(term)
  const isFilter = /[:=~]/.test(term)
  if (isFilter && typed.errors.length === 0 && activeKeys(typed.filters).length > 0) {
    return [
      {
        address: listAddress(typed.filters),
        icon: 'filter',
        label: term,
        detail: 'jobs that match',
      },
    ]
  }
  return [...clusters(term, catalog), ...byName(term)]
}

function clusters(term: string, catalog: Catalog | null): Suggestion[] {
  return (catalog?.clusters ?? [])
    .filter((cluster) => cluster.name.toLowerCase().includes(term.toLowerCase()))
    .map((cluster) => ({
      address: listAddress({ cluster: cluster.name }),
      icon: 'node',
      label: cluster.name,
      detail: 'jobs on this cluster',
    }))
}

function byName(term: string): Suggestion[] {
  return [
    {
      address: listAddress({ jobName: term }),
      icon: 'search',
      label: term,
      detail: 'jobs with this in their name',
    },
    { address: userPath(term), icon: 'user', label: term, detail: 'jobs of this user' },
    {
      address: listAddress({ project: textFilter('contains', [term]) }),
      icon: 'filter',
      label: term,
      detail: 'jobs of projects with this name',
    },
    {
      address: listAddress({ node: textFilter('eq', [term]) }),
      icon: 'node',
      label: term,
      detail: 'jobs on this node',
    },
  ]
}

/** The address of the job with this scheduler id if there is one only, else of the list of them. */
export async function addressOfJobId(id: string, signal?: AbortSignal): Promise<string> {
  const filters = { ...noFilters(), jobId: textFilter('eq', [id]) }
  const { jobs } = await query(
    JobLookupDocument,
    {
      filter: toFilterInput(filters),
      page: { itemsPerPage: 2, page: 1 },
      order: { field: 'startTime', type: 'col', order: 'DESC' },
    },
    signal,
  )
  const [only] = jobs.items
  return only && jobs.items.length === 1 ? jobPath(only.id) : listAddress(filters)
}
