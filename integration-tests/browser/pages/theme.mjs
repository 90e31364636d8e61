// Light, dark, as the system has it.
import { DESKTOP, Window } from '../browser.mjs'
import { silent } from '../inspect.mjs'
import { expect, expectEqual } from '../report.mjs'

export async function theme(report, browser, site, session) {
  const window = await Window.open(browser, site, DESKTOP, { session })
  const { page } = window
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
  await report.check('a chosen theme holds at once and after a reload', async () => {
    await window.goto('/monitoring/jobs/')
    await window.settled()
    const light = await background()
    await page.click('button[aria-label^="User menu"]')
    await page.click('.themes label:has-text("Dark")')
    const dark = await background()
    expect(light !== dark, `the background stays ${light}`)
    await page.reload()
    // Set by the script in the head, before anything is painted.
    expectEqual(await page.getAttribute('html', 'data-theme'), 'dark', 'theme')
    await window.settled()
    expectEqual(await background(), dark, 'background')
    await page.click('button[aria-label^="User menu"]')
    await page.click('.themes label:has-text("System")')
    expectEqual(await background(), light, 'background')
    await page.emulateMedia({ colorScheme: 'dark' })
    expectEqual(await background(), dark, 'background')
  })
  await silent(report, window, 'theme')
  await window.close()
}
