// What holds on a whole visit: what is asked for, what happens when the session ends, how pages stand at other sizes, and print.
import { DESKTOP, PHONE, Window } from '../browser.mjs'
import { sideways, silent } from '../inspect.mjs'
import { expect, expectEqual, expectNone } from '../report.mjs'

const LIST = '/monitoring/jobs/'
/** What the list fetches ahead, once, when the browser has nothing else to do: that may be late, and is no second time. */
const AHEAD = ['KeysDialog', 'FilterDialog', 'MetricPicker']

export async function visit(report, browser, site, session) {
  const over = (one) => one.jobState === 'completed' && one.duration > 1200
  const job = (await site.jobs()).find((one) => over(one) && one.numAcc > 0)
  await requests(report, browser, site, session)
  await sessionEnd(report, browser, site, session)
  await sizes(report, browser, site, session, job)
  await print(report, browser, site, session, job)
}

async function requests(report, browser, site, session) {
  const window = await Window.open(browser, site, DESKTOP, { session })
  const { page } = window
  const asked = []
  page.on('request', (request) => {
    const { pathname } = new URL(request.url())
    if (pathname === '/query') asked.push(JSON.parse(request.postData()).operationName)
    else if (pathname.startsWith('/assets/')) asked.push(pathname)
  })
  await report.check('a screenful of jobs is one question, and its curves are one', async () => {
    await window.goto(LIST)
    await page.waitForSelector('svg.spark path.line[d^="M"]', { state: 'attached' })
    await window.settled()
    const questions = asked.filter((one) => !one.startsWith('/')).toSorted()
    expectEqual(questions, ['Boot', 'Jobs', 'JobsMetrics'], 'questions of the first view')
  })
  await report.check('a following page fetches neither script nor style again', async () => {
    await window.waitFor((names) => {
      const fetched = performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname)
      return names.every((name) => ['js', 'css'].every((kind) => fetched.some((path) => path.startsWith(`/assets/${name}-`) && path.endsWith(kind))))
    }, AHEAD)
    await page.locator('tr.job a.id').nth(3).click()
    await page.waitForSelector('.panel .plot canvas')
    await page.goBack()
    await page.waitForSelector('tr.job a.id')
    await window.settled()
    asked.length = 0
    await page.locator('tr.job a.id').nth(5).click()
    await page.waitForSelector('.panel .plot canvas')
    await window.settled()
    expectNone(
      asked.filter((one) => one.startsWith('/')),
      'fetched again',
    )
  })
  await silent(report, window, 'requests of a visit')
  await window.close()
}

async function sessionEnd(report, browser, site, session) {
  const window = await Window.open(browser, site, DESKTOP, { session })
  const { page } = window
  window.expectStatus(401, '/query')
  window.expectStatus(401, '/events')
  window.expectStatus(401, LIST)
  await report.check('a session that ends inside a page is told, and what was there stays', async () => {
    await window.goto(LIST)
    await window.settled()
    await window.context.clearCookies()
    const first = () => page.locator('tr.job a.id').first().textContent()
    const before = await first()
    await page.click('th button:has-text("Duration")')
    await page.waitForSelector('[role=alert]:has-text("Your session has ended")')
    expectEqual(await first(), before, 'first job')
  })
  await report.check('signing in again leads back to what was asked for', async () => {
    const { address } = window
    expect(address.includes('sort=duration:desc'), `address ${address}`)
    await page.click('[role=alert] a:has-text("Sign in again")')
    await page.waitForSelector('#username')
    await page.fill('#username', 'operator')
    await page.fill('#password', 'operator')
    await page.click('button[type=submit]')
    await page.waitForSelector('tr.job a.id')
    expectEqual(window.address, address, 'address')
    await window.settled()
  })
  await silent(report, window, 'end of a session')
  await window.close()
}

/** Screens between and beyond those of the other parts, and twice as large a text. */
const SCREENS = [
  { device: { ...PHONE, name: 'zoomed to 400 %', viewport: { width: 320, height: 640 } } },
  { device: { ...PHONE, name: 'narrow phone', viewport: { width: 360, height: 740 } } },
  { device: { ...PHONE, name: 'phone, text at 200 %' }, text: 2 },
  { device: { ...DESKTOP, name: 'tablet', viewport: { width: 768, height: 1024 } } },
  { device: { ...DESKTOP, name: 'desktop, text at 200 %' }, text: 2 },
  { device: { ...DESKTOP, name: 'wall', viewport: { width: 2560, height: 1440 } } },
]

async function sizes(report, browser, site, session, job) {
  const pages = [
    ['job list', LIST, 'a.id'],
    ['job list as plots', `${LIST}?density=plots`, 'a.id'],
    ['job view', `/monitoring/job/${job.id}`, '.facts dd'],
  ]
  for (const { device, text } of SCREENS) {
    const window = await Window.open(browser, site, device, { session })
    if (text) {
      const debug = await window.context.newCDPSession(window.page)
      await debug.send('Page.enable')
      await debug.send('Page.setFontSizes', { fontSizes: { standard: 16 * text, fixed: 13 * text } })
    }
    for (const [what, path, there] of pages) {
      await report.check(`${device.name}: ${what}: no sideways scrolling`, async () => {
        await window.goto(path)
        await window.page.waitForSelector(there)
        await window.settled()
        expectNone(await window.page.evaluate(sideways), 'sideways')
      })
    }
    await silent(report, window, 'all sizes')
    await window.close()
  }
}

async function print(report, browser, site, session, job) {
  const window = await Window.open(browser, site, { ...DESKTOP, name: 'paper' }, { session, colorScheme: 'dark' })
  const { page } = window
  await window.context.addInitScript(() => {
    globalThis.print = () => (globalThis.ccPrinted = document.querySelectorAll('.panel .plot canvas').length)
  })
  await report.check('print takes all plots along, also those below the screen', async () => {
    await window.goto(`/monitoring/job/${job.id}`)
    await page.waitForSelector('.panel .plot canvas')
    await window.settled()
    const [onScreen, panels] = await page.evaluate(() => [
      document.querySelectorAll('.panel .plot canvas').length,
      document.querySelectorAll('.grid > .panel').length,
    ])
    expect(onScreen < panels, `${onScreen} of ${panels} plots are on the screen already`)
    await page.keyboard.press('Control+p')
    await window.waitFor(() => globalThis.ccPrinted !== undefined)
    expectEqual(await page.evaluate(() => globalThis.ccPrinted), panels, 'plots on paper')
  })
  await report.check('paper is white, without navigation, and as wide as it is', async () => {
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' })
    await page.setViewportSize({ width: 720, height: 1020 })
    const look = await page.evaluate(() => ({
      background: getComputedStyle(document.documentElement).backgroundColor,
      bar: document.querySelector('header.bar').checkVisibility(),
    }))
    expectEqual(look, { background: 'rgb(255, 255, 255)', bar: false }, 'look')
    expectNone(await page.evaluate(sideways), 'sideways')
  })
  await silent(report, window, 'print')
  await window.close()
}
