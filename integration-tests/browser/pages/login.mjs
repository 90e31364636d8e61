// Signing in and out.
import { DESKTOP, PHONE, Window } from '../browser.mjs'
import { inspect, silent } from '../inspect.mjs'
import { expect, expectEqual } from '../report.mjs'

const LINK = '/monitoring/jobs/?cluster=aurora&sort=duration:desc'
const PATH = '/monitoring/jobs/'

async function submit({ page }, password) {
  await page.fill('#username', 'operator')
  await page.fill('#password', password)
  await page.click('button[type=submit]')
}

export async function login(report, browser, site) {
  for (const device of [DESKTOP, PHONE]) {
    const window = await Window.open(browser, site, device)
    const { page } = window
    window.expectStatus(401, PATH)
    window.expectStatus(401, '/login')
    await report.check(`${device.name}: a link without a session: 401 and the login page`, async () => {
      const answer = await window.goto(LINK)
      expectEqual(answer.status(), 401, 'status')
      expect(await page.isVisible('form[action="/login"]'), 'no form')
      expectEqual(await page.inputValue('input[name=redirect]'), LINK, 'kept address')
    })
    await report.check(`${device.name}: the login page names the site, the product and whom to ask`, async () => {
      expectEqual((await page.textContent('h1')).trim(), 'Northwind HPC', 'site')
      const product = (await page.innerText('.login-product')).replaceAll(/\s+/g, ' ')
      expectEqual(product, 'Job monitoring with ClusterCockpit', 'product')
      expectEqual(await page.title(), 'Authentication failed - Northwind HPC', 'title')
      const contact = page.locator('#contact a')
      expectEqual(await contact.getAttribute('href'), 'mailto:hpc-support@northwind.example', 'contact')
      expectEqual(await page.locator('.login-contact:visible').count(), 1, 'sentences on whom to ask')
    })
    await inspect(report, window, 'login')
    if (device === PHONE) {
      await window.close()
      continue
    }
    await report.check('a wrong password is told and keeps the link', async () => {
      await submit(window, 'wrong')
      await page.waitForURL(/\/login$/)
      expectEqual((await page.textContent('#message')).trim(), 'Authentication failed', 'message')
      expectEqual(await page.inputValue('input[name=redirect]'), LINK, 'kept address')
    })
    await inspect(report, window, 'login failed')
    await report.check('the right password leads to the link', async () => {
      await submit(window, 'operator')
      await page.waitForURL((url) => url.pathname + url.search === LINK)
      await page.waitForSelector('tr.job a.id')
      await window.settled()
    })
    await silent(report, window, 'after login')
    await report.check('signing out ends the session', async () => {
      await page.click('button[aria-label^="User menu"]')
      await page.click('form[action="/logout"] button')
      await page.waitForURL(/\/logout$/)
      expectEqual((await page.textContent('#message')).trim(), 'Logout successful', 'message')
      const answer = await window.goto(LINK)
      expectEqual(answer.status(), 401, 'status afterwards')
    })
    await silent(report, window, 'after logout')
    await window.close()
  }
}
