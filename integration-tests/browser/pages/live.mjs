// Pages that follow by themselves.
import { DESKTOP, Window } from '../browser.mjs'
import { picture, silent } from '../inspect.mjs'
import { expect } from '../report.mjs'

const SOON = 2_000
/** A job that nobody else starts: far above the simulator's ids. */
const FIRST = 990_001

const startOf = (jobId) => ({
  jobId,
  cluster: 'aurora',
  user: 'ada',
  project: 'bio01',
  partition: 'batch',
  numNodes: 1,
  walltime: 7200,
  startTime: Math.floor(Date.now() / 1000) - 1,
  shared: 'none',
  smt: 1,
  resources: [{ hostname: 'a0001' }],
  metaData: { jobName: `live-${jobId}` },
})

const rowOf = (jobId) =>
  [...document.querySelectorAll('tr.job a.id')].some((link) => link.textContent === String(jobId))

async function isLive(window, timeout) {
  await window.waitFor(() => document.querySelector('.status .text')?.textContent === 'Live', undefined, timeout)
}

export async function live(report, browser, site, session, { restart }) {
  const window = await Window.open(browser, site, DESKTOP, { session })
  const { page } = window
  await window.goto('/monitoring/jobs/')
  await window.settled()
  await page.evaluate(() => (globalThis.sameDocument = true))
  const job = startOf(FIRST)
  await report.check(`a job that starts shows up in the open list within ${SOON / 1000} s`, async () => {
    await isLive(window)
    const sent = performance.now()
    await site.rest('/api/jobs/start_job/', job)
    await window.waitFor(rowOf, FIRST, SOON)
    report.figure('a started job in the open list', `${Math.round(performance.now() - sent)} ms`)
    expect(await page.evaluate(() => globalThis.sameDocument), 'the page was loaded again')
  })
  await report.check('a job that ends changes its row', async () => {
    await site.rest('/api/jobs/stop_job/', {
      jobId: FIRST,
      cluster: job.cluster,
      startTime: job.startTime,
      stopTime: job.startTime + 1,
      jobState: 'failed',
    })
    await window.waitFor((id) => {
      const link = [...document.querySelectorAll('tr.job a.id')].find((one) => one.textContent === String(id))
      return link?.closest('tr').querySelector('.badge .word').textContent === 'Failed'
    }, FIRST)
    expect(await page.evaluate(() => globalThis.sameDocument), 'the page was loaded again')
  })
  await silent(report, window, 'live list')
  if (restart) await lost(report, window)
  await window.close()
}

async function lost(report, window) {
  const { page, site } = window
  await site.stopPlaying()
  window.offline = true
  await report.check('a server that is gone: the page says so and keeps its rows', async () => {
    await site.stop()
    await window.waitFor(() => document.querySelector('.status .text')?.textContent.startsWith('Connection lost'))
    expect((await page.$$('tr.job a.id')).length > 10, 'the rows are gone')
  })
  await picture(window, 'connection lost')
  await report.check('it comes back by itself, with what has happened meanwhile', async () => {
    await site.start()
    await site.rest('/api/jobs/start_job/', startOf(FIRST + 1))
    await isLive(window, 20_000)
    await window.waitFor(rowOf, FIRST + 1)
    expect(await page.evaluate(() => globalThis.sameDocument), 'the page was loaded again')
  })
  window.offline = false
  await silent(report, window, 'after the connection is back')
}
