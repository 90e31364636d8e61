// Who sees what, and what is said to those who may not.
import { DESKTOP, PHONE, Window } from '../browser.mjs'
import { inspect, silent } from '../inspect.mjs'
import { expect, expectEqual } from '../report.mjs'
import { countShown } from './list.mjs'

export async function rights(report, browser, site, session) {
  const foreign = (await site.jobs('state=completed')).find((one) => one.user !== 'ada')
  for (const device of [DESKTOP, PHONE]) {
    const window = await Window.open(browser, site, device, { session })
    const { page, name } = window
    if (device === DESKTOP) await ownJobs(report, window)
    const cases = [
      ['job of somebody else', `/monitoring/job/${foreign.id}`, 403, 'not for you to see'],
      ['job that is not', '/monitoring/job/999999999', 404, 'does not exist'],
      ['page that is not', '/monitoring/nothing/here', 404, 'does not exist'],
    ]
    for (const [what, path, status, words] of cases) {
      window.expectStatus(status, path)
      await report.check(`${name}: ${what}: ${status} in words`, async () => {
        const answer = await window.goto(path)
        expectEqual(answer.status(), status, 'status')
        const heading = await page.textContent('h1')
        expect(heading.includes(words), heading)
        expectEqual(await page.textContent('.problem-page .code'), String(status), 'number')
      })
      await inspect(report, window, what)
    }
    await window.close()
  }
}

async function ownJobs(report, window) {
  const { page, site } = window
  await report.check('a user starts with the own jobs and sees no others', async () => {
    await window.goto('/')
    await page.waitForURL(/\/monitoring\/user\/ada$/)
    await window.settled()
    const own = (await site.jobs()).filter((one) => one.user === 'ada').length
    expectEqual(await countShown(page), own, 'jobs of ada')
    await page.click('nav a:has-text("Jobs")')
    await page.waitForURL(/\/monitoring\/jobs\/$/)
    await window.settled()
    expectEqual(await countShown(page), own, 'jobs that ada may see')
    const users = await page.$$eval('tr.job a[href^="/monitoring/user/"]', (all) => [
      ...new Set(all.map((one) => one.textContent)),
    ])
    expectEqual(users, ['ada'], 'owners')
  })
  await inspect(report, window, 'own jobs')
  await silent(report, window, 'own jobs')
}
