// Pages that follow by themselves.
import { DESKTOP, Window } from '../browser.mjs'
import { picture, silent } from '../inspect.mjs'
import { expect } from '../report.mjs'
import { until } from '../site.mjs'

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

export async function live(report, browser, site, session) {
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
  // From here on nobody else sends samples or jobs.
  await site.stopPlaying()
  await gap(report, browser, site, session)
  await stale(report, browser, site, session)
  await lost(report, window)
  await window.close()
}

/** What happens after the page has its rows and before its stream is open. */
async function gap(report, browser, site, session) {
  const job = startOf(FIRST + 2)
  await site.rest('/api/jobs/start_job/', job)
  const window = await Window.open(browser, site, DESKTOP, { session })
  const { page } = window
  let release
  const held = new Promise((done) => (release = done))
  await page.route('**/events*', async (route) => {
    await held
    await route.continue()
  })
  const stateIs = ([id, word]) => {
    const link = [...document.querySelectorAll('tr.job a.id')].find((one) => one.textContent === String(id))
    return link?.closest('tr').querySelector('.badge .word').textContent === word
  }
  await report.check('a job that ends before the stream of the page is open changes its row', async () => {
    await window.goto('/monitoring/jobs/')
    await window.waitFor(stateIs, [job.jobId, 'Running'])
    const { cluster, jobId, startTime } = job
    const stop = { jobId, cluster, startTime, stopTime: startTime + 1, jobState: 'failed' }
    await site.rest('/api/jobs/stop_job/', stop)
    // The last event of the job has passed: what the stream tells of its own accord is not about it.
    await until('the job is archived', 30, async () => {
      const found = (await site.jobs()).find((one) => one.jobId === jobId)
      return found !== undefined && found.monitoringStatus !== 1
    })
    release()
    await window.waitFor(stateIs, [job.jobId, 'Failed'])
  })
  await silent(report, window, 'a stream that opens late')
  await window.close()
}

/** A node that sends nothing for five minutes, comes back, and then falls silent. */
async function stale(report, browser, site, session) {
  const [step, length] = [30, 1500]
  const startTime = Math.floor(Date.now() / 1000 / step) * step - length
  const hosts = [{ hostname: 'a1001' }]
  await site.rest('/api/jobs/start_job/', { ...startOf(FIRST + 3), startTime, resources: hosts })
  const sends = (since) => since < 600 || (since >= 900 && since <= length - 360)
  let lines = ''
  for (let since = 0; since <= length; since += step) {
    if (sends(since)) lines += `cpu_load,cluster=aurora,hostname=a1001,type=node value=32 ${startTime + since}\n`
  }
  await site.write(lines)
  const job = (await site.jobs('state=running')).find((one) => one.jobId === FIRST + 3)
  const window = await Window.open(browser, site, DESKTOP, { session })
  const { page } = window
  await window.context.addInitScript(() => {
    const { prototype } = CanvasRenderingContext2D
    const draw = prototype.fillText
    globalThis.ccDrawn = []
    prototype.fillText = function (text, ...where) {
      globalThis.ccDrawn.push(text)
      return draw.call(this, text, ...where)
    }
  })
  await report.check('the end of a plot whose node has fallen silent is marked', async () => {
    await window.goto(`/monitoring/job/${job.id}`)
    await page.waitForSelector('.panel .plot canvas')
    await window.waitFor(() => globalThis.ccDrawn.includes('no samples'))
  })
  await picture(window, 'a node that fell silent')
  await report.check('a gap is a gap: five minutes without a sample, none invented', async () => {
    await page.click('button[aria-label="Values of cpu_load as a table"]')
    await page.waitForSelector('dialog[open] td')
    const cells = await page.$$eval('dialog[open] tbody tr', (rows) =>
      rows.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent)),
    )
    const marks = cells.map((row) => (row.every((text) => text === 'no sample') ? '-' : '#')).join('')
    expect(/^#{19,21}-{9,11}#{8,10}-*$/.test(marks), `samples: ${marks}`)
  })
  await silent(report, window, 'a node that fell silent')
  await window.close()
}

async function lost(report, window) {
  const { page, site } = window
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
