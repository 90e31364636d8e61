// What does not come, comes late, or is not looked at: the rest of the page stands.
import { DESKTOP, Window } from '../browser.mjs'
import { picture, silent } from '../inspect.mjs'
import { expect, expectEqual } from '../report.mjs'

const LIST = '/monitoring/jobs/'
const SPARK = 'tr.job svg.spark path.line[d^="M"]'
/** Parts of the list whose scripts are fetched when somebody wants them. */
const SCRIPTS = ['KeysDialog', 'FilterDialog', 'MetricPicker', 'JobPlotsRow']

export async function failures(report, browser, site, session) {
  const over = (one) => one.jobState === 'completed' && one.duration > 1200
  const job = (await site.jobs()).find(over)
  await scripts(report, browser, site, session)
  await series(report, browser, site, session, job)
  await late(report, browser, site, session)
  await hidden(report, browser, site, session)
}

const questionOf = (request) =>
  new URL(request.url()).pathname === '/query' ? JSON.parse(request.postData()).operationName : null

/** Answers the questions of this name in another way, until the function that it gives is called. */
async function answer(page, name, act) {
  const handler = (route) => (questionOf(route.request()) === name ? act(route) : route.fallback())
  await page.route('**/query', handler)
  return () => page.unroute('**/query', handler)
}

async function scripts(report, browser, site, session) {
  const window = await Window.open(browser, site, DESKTOP, { session })
  const { page } = window
  window.offline = true
  await page.route(
    (url) => SCRIPTS.some((name) => url.pathname.startsWith(`/assets/${name}-`)),
    (route) => route.abort(),
  )
  await window.goto(LIST)
  await window.settled()
  const opened = [
    ['The list of keys', () => page.keyboard.press('?')],
    ['The filter dialog', () => page.click('button:has-text("Filters")')],
    ['The choice of metrics', () => page.click('button:has-text("Metrics")')],
  ]
  for (const [what, open] of opened) {
    await report.check(`${what} whose script does not come says so, and the list stays`, async () => {
      await open()
      const note = `[role=alert]:has-text("${what} could not be loaded.")`
      await page.waitForSelector(note)
      expect((await page.$$('tr.job a.id')).length > 10, 'the rows are gone')
      if (what.includes('keys')) await picture(window, 'a script that does not come')
      await page.click('button:has-text("Close")')
      await page.waitForSelector(note, { state: 'detached' })
    })
  }
  await report.check('the list as plots says so too', async () => {
    await window.goto(`${LIST}?density=plots`)
    await page.waitForSelector('[role=alert]:has-text("The list as plots could not be loaded.")')
  })
  await silent(report, window, 'scripts that do not come')
  await window.close()
}

async function series(report, browser, site, session, job) {
  const window = await Window.open(browser, site, DESKTOP, { session })
  const { page } = window
  window.expectStatus(503, '/query')
  const refuse = (route) => route.fulfill({ status: 503, contentType: 'application/json', body: '{}' })
  await report.check('a list whose curves fail shows its jobs, and tries the curves again when asked', async () => {
    const mend = await answer(page, 'JobsMetrics', refuse)
    await window.goto(LIST)
    await page.waitForSelector('tr.job button:has-text("not loaded")')
    expect((await page.$$('tr.job a.id')).length > 10, 'the rows are gone')
    expectEqual((await page.$$(SPARK)).length, 0, 'curves')
    await mend()
    await page.locator('tr.job button:has-text("not loaded")').first().click()
    await page.waitForSelector(SPARK, { state: 'attached' })
    await page.waitForSelector('tr.job button:has-text("not loaded")', { state: 'detached' })
  })
  await report.check('a job whose plots fail shows its facts; each plot has its own "try again"', async () => {
    const mend = await answer(page, 'JobsMetrics', refuse)
    await window.goto(`/monitoring/job/${job.id}`)
    await page.waitForSelector('.facts dd')
    const failed = page.locator('.plot-panel:has(button:has-text("Try again"))')
    await failed.first().waitFor()
    await mend()
    const name = await failed.first().locator('h3').textContent()
    const before = await failed.count()
    await failed.first().locator('button:has-text("Try again")').click()
    await page.waitForSelector(`.plot-panel:has(h3:text-is("${name}")) .plot canvas`)
    expectEqual(await failed.count(), before - 1, 'plots that still wait to be asked for')
  })
  await silent(report, window, 'series that fail')
  await window.close()
}

async function late(report, browser, site, session) {
  const window = await Window.open(browser, site, DESKTOP, { session })
  const { page } = window
  let release
  const held = new Promise((done) => (release = done))
  await report.check('while the metric store takes its time the list can be read, sorted and left', async () => {
    await answer(page, 'JobsMetrics', async (route) => {
      await held
      await route.continue().catch(() => undefined)
    })
    await window.goto(LIST)
    await page.waitForSelector('tr.job a.id')
    await page.click('th button:has-text("Duration")')
    await page.waitForURL(/sort=duration:desc/)
    await page.waitForSelector('th[aria-sort=descending]')
    await page.locator('tr.job a.id').nth(2).click()
    await page.waitForSelector('.facts dd')
    await page.goBack()
    await page.waitForSelector('tr.job a.id')
    expectEqual((await page.$$(SPARK)).length, 0, 'curves before the store has answered')
    release()
    await page.waitForSelector(SPARK, { state: 'attached' })
  })
  await silent(report, window, 'a slow store')
  await window.close()
}

async function hidden(report, browser, site, session) {
  const window = await Window.open(browser, site, DESKTOP, { session })
  const { page } = window
  const asked = []
  page.on('request', (request) => {
    const { pathname } = new URL(request.url())
    if (pathname === '/query' || pathname === '/events') asked.push(questionOf(request) ?? pathname)
  })
  let closed = 0
  page.on('requestfailed', (request) => (closed += new URL(request.url()).pathname === '/events' ? 1 : 0))
  const show = (state) =>
    page.evaluate((value) => {
      Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => value })
      document.dispatchEvent(new Event('visibilitychange'))
    }, state)
  await page.clock.install()
  await report.check('a page that is seen asks for new samples by the clock', async () => {
    await window.goto(`${LIST}?state=running`)
    await page.waitForSelector(SPARK, { state: 'attached' })
    await window.waitFor(() => document.querySelector('.status .text')?.textContent === 'Live')
    asked.length = 0
    await page.clock.fastForward(61_000)
    await expectSoon(() => asked.includes('JobsMetrics'), () => `asked: ${asked.join(' ')}`)
  })
  await report.check('a hidden one asks for nothing and listens to nothing', async () => {
    await window.settled()
    await show('hidden')
    await expectSoon(() => closed === 1, () => `${closed} streams closed`)
    asked.length = 0
    for (let minute = 0; minute < 10; minute += 1) await page.clock.fastForward(61_000)
    // What a timer asks for is on its way before a question of our own is answered.
    await page.evaluate(() => fetch('/healthz').then((answer) => answer.text()))
    expectEqual(asked, [], 'asked while hidden')
  })
  await report.check('seen again, it is current at once', async () => {
    await show('visible')
    await expectSoon(
      () => asked.includes('/events') && asked.includes('Jobs'),
      () => `asked: ${asked.join(' ')}`,
    )
  })
  await silent(report, window, 'a hidden tab')
  await window.close()
}

/** Waits for something that the browser tells us, not the page. */
async function expectSoon(holds, say) {
  const until = Date.now() + 10_000
  while (!holds()) {
    expect(Date.now() < until, say())
    await new Promise((done) => setTimeout(done, 20))
  }
}
