import { sendEarly } from '@/lib/api/client'
import { BootDocument, JobDocument, JobsDocument } from '@/lib/api/documents'
import { pageMeta } from '@/lib/page-meta'
import { homePath, routeOf } from '@/lib/router.svelte'
import { toFilterInput, toOrderInput } from '@/lib/url/filter-graphql'
import { parseJobList } from '@/lib/url/job-list-state'
import { FIRST_ROWS, jobsQuestion, pagesOf } from '@/pages/jobs/jobs-question'

/**
 * What the first view needs is asked for before anything is drawn, so that the answers travel while
 * the page is built. Imported first of all; the parts of the page find their answers on the way.
 */
function ask(): void {
  if (pageMeta.status >= 400) return
  void sendEarly(BootDocument, {})
  const path = location.pathname
  const home = pageMeta.roles.length === 0 ? null : homePath(pageMeta.user, pageMeta.roles)
  const route = routeOf(path === '/' && home !== null ? home : path)
  if (route.page === 'job') {
    void sendEarly(JobDocument, { id: route.id })
    // The page that shows it asks again for the same script, and says so if it cannot be had.
    import('@/pages/job/JobPage.svelte').catch(() => undefined)
  }
  if (route.page !== 'jobs') return
  const { state } = parseJobList(location.search)
  const [page, another] = pagesOf(state.row - 1, state.row - 1 + FIRST_ROWS)
  if (page === undefined || another !== undefined) return
  const filter = toFilterInput(state.filters, route.user)
  void sendEarly(JobsDocument, jobsQuestion(filter, toOrderInput(state.sort), page))
}

ask()
