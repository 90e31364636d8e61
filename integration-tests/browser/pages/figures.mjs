// What a visit costs; printed, not asserted.
import { DESKTOP, Window } from '../browser.mjs'
import { expect } from '../report.mjs'

/** Visits with an empty cache; the machine may be busy with other things, so that one says little. */
const VISITS = 10
/** The slow profile of the goals: CPU 4× slower, 10 Mbit/s down, 40 ms latency. */
const SLOW = {
  cpu: 4,
  network: {
    offline: false,
    latency: 40,
    downloadThroughput: 1_250_000,
    uploadThroughput: 625_000,
  },
}

const LIST = { path: '/monitoring/jobs/', text: 'tr.job a.id', plot: 'svg.spark path.line[d^="M"]' }
const JOB = { text: '.facts dd a', plot: '.panel .plot canvas' }

/** In the page: notes to the frame when the first text and the first plot are there, what moved, and what took long. */
function watch({ text, plot }) {
  const seen = (globalThis.ccSeen = { shift: 0, longest: 0 })
  const look = () => {
    if (document.querySelector(text)) seen.text ??= performance.now()
    if (document.querySelector(plot)) seen.plot ??= performance.now()
    if (seen.plot === undefined) requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
  const observe = (type, note) =>
    new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({
      type,
      buffered: true,
    })
  observe('layout-shift', (entry) => (seen.shift += entry.hadRecentInput ? 0 : entry.value))
  observe('longtask', (entry) => (seen.longest = Math.max(seen.longest, entry.duration)))
}

const sorted = (values) => values.toSorted((a, b) => a - b)
const median = (values) => sorted(values)[Math.floor(values.length / 2)]
const spread = (values) =>
  `${Math.round(median(values))} ms (median of ${values.length}, best ${Math.round(sorted(values)[0])})`

export async function figures(report, browser, site, session) {
  await report.check('the first view and the next pages can be measured', async () => {
    const questions = await firstVisits(report, browser, site, session, 'job list', LIST)
    await shareOfServer(report, browser, site, session, questions)
    const job = (await site.jobs('state=completed')).toSorted((a, b) => b.duration - a.duration)[0]
    await firstVisits(report, browser, site, session, 'job view', {
      ...JOB,
      path: `/monitoring/job/${job.id}`,
    })
    await slowVisit(report, browser, site, session)
  })
}

/** One visit with an empty cache; gives what was seen and what was sent. */
async function visit(browser, site, session, page, slow) {
  const window = await Window.open(browser, site, DESKTOP, { session })
  const sent = []
  window.page.on('requestfinished', (request) => sent.push(request))
  if (slow) {
    const debug = await window.context.newCDPSession(window.page)
    await debug.send('Network.enable')
    await debug.send('Network.emulateNetworkConditions', slow.network)
    await debug.send('Emulation.setCPUThrottlingRate', { rate: slow.cpu })
  }
  await window.context.addInitScript(watch, { text: page.text, plot: page.plot })
  await window.goto(page.path)
  await window.waitFor(() => globalThis.ccSeen.plot !== undefined, null, slow ? 30_000 : undefined)
  await window.settled()
  expect(window.takeProblems().length === 0, 'problems')
  return { window, sent, seen: await window.page.evaluate(() => globalThis.ccSeen) }
}

/** Times of the first text and the first plot. Gives the requests for data of one visit. */
async function firstVisits(report, browser, site, session, what, page) {
  const times = { text: [], plot: [], shift: [], longest: [] }
  let questions = []
  for (let number = 0; number < VISITS; number += 1) {
    const { window, sent, seen } = await visit(browser, site, session, page)
    for (const [name, list] of Object.entries(times)) list.push(seen[name])
    if (number === 0) {
      questions = sent
        .filter((one) => new URL(one.url()).pathname === '/query')
        .map((one) => one.postData())
      if (page === LIST) await sizes(report, window, sent)
    }
    await window.close()
  }
  report.figure(`first visit, ${what}: text`, spread(times.text))
  report.figure(`first visit, ${what}: first plot`, spread(times.plot))
  // A job that starts while the page loads moves the rows below it; the median is the page's own doing.
  report.figure(
    `first visit, ${what}: layout shift (CLS)`,
    `${median(times.shift).toFixed(3)} (median of ${VISITS}, largest ${Math.max(...times.shift).toFixed(3)})`,
  )
  report.figure(
    `first visit, ${what}: longest task, median`,
    `${Math.round(median(times.longest))} ms`,
  )
  report.figure(`first visit, ${what}: requests for data`, questions.length)
  return questions
}

/** The part of the server: the same questions once more, without a page around them. */
async function shareOfServer(report, browser, site, session, questions) {
  const context = await browser.newContext({ storageState: session })
  for (const data of questions) {
    const times = []
    for (let number = 0; number < VISITS; number += 1) {
      const began = performance.now()
      const answer = await context.request.post(`${site.base}/query`, {
        data,
        headers: { 'Content-Type': 'application/json' },
      })
      await answer.body()
      times.push(performance.now() - began)
    }
    report.figure(
      `job list, the server's share of ${JSON.parse(data).operationName}`,
      spread(times),
    )
  }
  await context.close()
}

async function slowVisit(report, browser, site, session) {
  const { window, seen } = await visit(browser, site, session, LIST, SLOW)
  await window.close()
  report.figure('job list, slow profile: text', `${Math.round(seen.text)} ms`)
  report.figure('job list, slow profile: first plot', `${Math.round(seen.plot)} ms`)
  report.figure('job list, slow profile: longest task', `${Math.round(seen.longest)} ms`)
}

async function sizes(report, window, sent) {
  const bytes = { script: 0, all: 0 }
  const first = [...sent]
  for (const request of first) {
    const { responseBodySize } = await request.sizes()
    bytes.all += responseBodySize
    if (request.resourceType() === 'script') bytes.script += responseBodySize
  }
  report.figure('first view, script as sent', `${(bytes.script / 1024).toFixed(1)} KiB`)
  report.figure(
    'first view, all as sent',
    `${(bytes.all / 1024).toFixed(1)} KiB in ${first.length} requests`,
  )
  await window.page.locator('tr.job a.id').nth(3).click()
  await window.page.waitForSelector('.panel .plot canvas')
  await window.settled()
  await window.page.goBack()
  await window.settled()
  sent.length = 0
  await window.page.locator('tr.job a.id').nth(4).click()
  await window.page.waitForSelector('.panel .plot canvas')
  await window.settled()
  report.figure(
    'requests of a following job view',
    sent
      .map((one) => new URL(one.url()).pathname)
      // Asked for by the browser, whenever it likes.
      .filter((path) => !path.startsWith('/favicon'))
      .join(' ') || 'none',
  )
}
