// What a visit costs; printed, not asserted.
import { DESKTOP, Window } from '../browser.mjs'
import { expect } from '../report.mjs'

const VISITS = 3

/** In the page: notes when the first row and the first plot are there, to the frame. */
function watch() {
  const seen = (globalThis.ccSeen = {})
  const look = () => {
    if (document.querySelector('tr.job a.id')) seen.text ??= performance.now()
    if (document.querySelector('svg.spark path.line[d^="M"]')) seen.plot ??= performance.now()
    if (seen.plot === undefined) requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

export async function figures(report, browser, site, session) {
  await report.check('the first view and the next pages can be measured', async () => {
    const times = { text: [], plot: [] }
    for (let visit = 0; visit < VISITS; visit += 1) {
      const window = await Window.open(browser, site, DESKTOP, { session })
      const sent = []
      window.page.on('requestfinished', (request) => sent.push(request))
      await window.context.addInitScript(watch)
      await window.goto('/monitoring/jobs/')
      await window.waitFor(() => globalThis.ccSeen.plot !== undefined)
      const { text, plot } = await window.page.evaluate(() => globalThis.ccSeen)
      times.text.push(text)
      times.plot.push(plot)
      await window.settled()
      if (visit === 0) await sizes(report, window, sent)
      expect(window.takeProblems().length === 0, 'problems')
      await window.close()
    }
    report.figure(`first visit, text of the list (median of ${VISITS})`, `${Math.round(median(times.text))} ms`)
    report.figure(`first visit, first plot (median of ${VISITS})`, `${Math.round(median(times.plot))} ms`)
  })
}

async function sizes(report, window, sent) {
  const bytes = { script: 0, all: 0 }
  for (const request of sent) {
    const { responseBodySize } = await request.sizes()
    bytes.all += responseBodySize
    if (request.resourceType() === 'script') bytes.script += responseBodySize
  }
  report.figure('first view, script as sent', `${(bytes.script / 1024).toFixed(1)} KiB`)
  report.figure('first view, all as sent', `${(bytes.all / 1024).toFixed(1)} KiB in ${sent.length} requests`)
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
