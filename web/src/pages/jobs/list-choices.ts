import { store, stored } from '@/lib/stored'
import { parseNames, type JobListState } from '@/lib/url/job-list-state'

/**
 * What this browser last chose for job lists. It is put into an address that says nothing at all,
 * so that an address copied from here always shows the same.
 */
export function withChoices(state: JobListState): JobListState {
  return {
    ...state,
    density: stored('jobs.density') === 'plots' ? 'plots' : 'table',
    metrics: parseNames(stored('jobs.metrics')),
  }
}

export function rememberChoices(state: JobListState): void {
  store('jobs.density', state.density === 'table' ? null : state.density)
  store('jobs.metrics', state.metrics === null ? null : state.metrics.join(','))
}
