import { Batch } from '@/lib/live/batch'
import { live, type JobEvent } from '@/lib/live/events.svelte'
import type { JobFilters } from '@/lib/url/filters'

/** What the page does when something has changed. */
export interface ListTarget {
  filters(): JobFilters
  /** The user whose page this is; null: jobs of all. */
  user(): string | null
  isLoaded(id: string): boolean
  /** Whether rows are on their way: they may tell how a job was before its event. */
  isLoading(): boolean
  /** Loads these jobs again, once no rows are on their way; says whether all of them are still in the list. */
  refreshJobs(ids: string[]): Promise<boolean>
  /** Loads what is on the screen again, without moving it. */
  refreshRows(): Promise<void>
  refreshSeries(ids: string[]): void
}

/** Stands for "rows came or went". */
const ROWS = '*'

/** Whether a change can make a job enter or leave a list, or another job take its row. */
export function affectsRows(event: JobEvent, filters: JobFilters): boolean {
  if (event.kind === 'started' || event.kind === 'deleted') return true
  return (
    filters.state.length > 0 ||
    filters.duration !== null ||
    filters.energy !== null ||
    filters.tags.length > 0 ||
    filters.stats.length > 0
  )
}

/** Keeps a list current: events are gathered and fetched for at most once a second. */
export function followJobs(target: ListTarget): () => void {
  const batch = new Batch<string>(async (keys) => {
    const ids = keys.filter((key) => key !== ROWS)
    try {
      const rowsChanged = keys.includes(ROWS) || !(await target.refreshJobs(ids))
      if (rowsChanged) await target.refreshRows()
    } catch {
      // The next event or the next visit asks again; the page still shows what it had.
    }
    target.refreshSeries(ids)
  })
  const stop = live.listen({
    onJob(event) {
      const user = target.user()
      if (user !== null && event.user !== '' && event.user !== user) return
      const id = String(event.id)
      const loaded = target.isLoaded(id)
      if (loaded || target.isLoading()) batch.add(id)
      if (affectsRows(event, target.filters()) && !(loaded && event.kind === 'started')) {
        batch.add(ROWS)
      }
    },
    onResync: () => batch.add(ROWS),
  })
  return () => {
    stop()
    batch.close()
  }
}
