// What an administrator has to say to everybody.
import { DESKTOP, PHONE, Window } from '../browser.mjs'
import { inspect } from '../inspect.mjs'
import { expect, expectEqual } from '../report.mjs'

const LIST = '/monitoring/jobs/'
const TEXT = 'Maintenance on Tuesday, 8:00–12:00: <b>all</b> queues are drained.\nRunning jobs end before & nothing is lost.'
const NOTICE = 'section[aria-label="Notice"]'

export async function notice(report, browser, site, session) {
  site.notice(TEXT)
  for (const device of [DESKTOP, PHONE]) {
    const window = await Window.open(browser, site, device, { session })
    const { page } = window
    await window.goto(LIST)
    await report.check(`${device.name}: the notice of the site stands above the page, as plain text`, async () => {
      expectEqual(await page.textContent(`${NOTICE} p`), TEXT, 'notice')
    })
    await inspect(report, window, 'notice')
    await report.check(`${device.name}: who has read it puts it away`, async () => {
      await page.click(`${NOTICE} button`)
      await page.waitForSelector(NOTICE, { state: 'detached' })
    })
    await window.close()
  }
  site.notice('')
  const window = await Window.open(browser, site, DESKTOP, { session })
  await report.check('without a notice there is no banner', async () => {
    await window.goto(LIST)
    await window.settled()
    expect((await window.page.$(NOTICE)) === null, 'a banner')
  })
  await window.close()
}
