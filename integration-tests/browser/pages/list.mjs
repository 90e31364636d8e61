// The list of jobs: both densities, filters, keys, dialogs.
import { DESKTOP, PHONE, Window } from '../browser.mjs'
import { inspect, silent } from '../inspect.mjs'
import { expect, expectEqual } from '../report.mjs'

const PATH = '/monitoring/jobs/'
const ROWS_ON_A_SCREEN = 20

export const countShown = (page) =>
  page.textContent('.title h1 + span').then((text) => Number(/^\d+/.exec(text.trim())?.[0]))

export async function list(report, browser, site, session) {
  for (const device of [DESKTOP, PHONE]) {
    const window = await Window.open(browser, site, device, { session })
    await window.goto(PATH)
    await inspect(report, window, 'job list')
    if (device === DESKTOP) await table(report, window)
    await window.goto(`${PATH}?density=plots`)
    await inspect(report, window, 'job list as plots')
    if (device === DESKTOP) await plots(report, window)
    await empty(report, window)
    await layers(report, window)
    if (device === DESKTOP) {
      await filters(report, window)
      await keys(report, window)
    }
    await silent(report, window, 'job list, after all')
    await window.close()
  }
}

async function table(report, window) {
  const { page, site } = window
  await report.check('the list counts what the server has', async () => {
    const shown = await countShown(page)
    expectEqual(shown, (await site.jobs()).length, 'jobs')
  })
  await report.check(`at least ${ROWS_ON_A_SCREEN} jobs on a screen of 1440 × 900, with their plots`, async () => {
    const rows = await page.$$eval('tr.job', (all) => {
      const seen = all.filter((row) => {
        const { top, bottom } = row.getBoundingClientRect()
        return top >= 0 && bottom <= innerHeight
      })
      // A job that has just begun has a word for each plot instead.
      const cells = seen.flatMap((row) => [...row.querySelectorAll('td.metric')])
      return {
        count: seen.length,
        plots: cells.filter((cell) => cell.querySelector('svg.spark')).length,
        bare: cells.filter((cell) => cell.textContent.trim() === '').length,
      }
    })
    expect(rows.count >= ROWS_ON_A_SCREEN, `${rows.count} rows`)
    expect(rows.plots > 3 * rows.count, `${rows.plots} plots in ${rows.count} rows`)
    expectEqual(rows.bare, 0, 'cells with neither plot nor word')
  })
  await report.check('a column head sorts, and the address says so', async () => {
    await page.click('th button:has-text("Duration")')
    await window.settled()
    expectEqual(window.address, `${PATH}?sort=duration:desc`, 'address')
    expectEqual(await page.getAttribute('th:has-text("Duration")', 'aria-sort'), 'descending', 'aria-sort')
    const longest = (await site.jobs('state=completed')).reduce((a, b) => (b.duration > a.duration ? b : a))
    const all = await page.$$eval('tr.job a.id', (links) => links.map((link) => Number(link.textContent)))
    expect(all.includes(longest.jobId), `job ${longest.jobId}, the longest, is not on the first screen`)
  })
}

async function plots(report, window) {
  const { page } = window
  await report.check('the switch between table and plots is kept', async () => {
    await window.goto(PATH)
    await window.settled()
    await page.click('button:has-text("Plots")')
    await page.waitForSelector('.plot canvas')
    expect(window.address.includes('density=plots'), `address ${window.address}`)
    await window.goto('/')
    await page.waitForSelector('.plot canvas')
    await page.click('button:has-text("Table")')
    await page.waitForSelector('tr.job svg.spark')
    await window.settled()
  })
}

async function empty(report, window) {
  const { page, name } = window
  await window.goto(`${PATH}?cluster=aurora&state=boot_fail`)
  await report.check(`${name}: a list without a job names the filters and what dropping one gives`, async () => {
    await page.waitForSelector('.empty li .muted:has-text("gives")')
    const text = await page.innerText('.empty')
    for (const word of ['No job matches all of these filters', 'aurora', 'Boot failed', 'Clear all 2 filters']) {
      expect(text.includes(word), `"${word}" is missing in: ${text}`)
    }
  })
  await inspect(report, window, 'empty list')
}

/** Each menu and dialog, open. */
async function layers(report, window) {
  const { page, name } = window
  await window.goto(PATH)
  await window.settled()
  await page.click('button:has-text("Filters")')
  await page.waitForSelector('dialog[open]')
  await inspect(report, window, 'filter dialog')
  await page.keyboard.press('Escape')
  if (name === 'phone') {
    await page.click('button[aria-label^="View:"]')
    await inspect(report, window, 'view menu')
  }
  await page.click('button:has-text("Metrics")')
  await page.waitForSelector('dialog[open]')
  await inspect(report, window, 'metric dialog')
  await page.keyboard.press('Escape')
  await page.click('button[aria-label^="User menu"]')
  await inspect(report, window, 'user menu')
  await page.keyboard.press('Escape')
  if (name === 'phone') return
  await page.keyboard.press('?')
  await page.waitForSelector('dialog[open]')
  await inspect(report, window, 'keys dialog')
  await page.keyboard.press('Escape')
}

async function filters(report, window) {
  const { page, site } = window
  await report.check('a link with filters shows them as chips, and the jobs they mean', async () => {
    await window.goto(`${PATH}?cluster=aurora&state=completed`)
    await window.settled()
    const chips = await page.$$eval('.chips .what', (all) => all.map((chip) => chip.textContent.trim()))
    expectEqual(chips.length, 2, `chips ${chips.join(', ')}`)
    const wanted = await site.jobs('state=completed&cluster=aurora')
    expectEqual(await countShown(page), wanted.length, 'jobs')
    const rows = await page.$$eval('tr.job .badge .word', (all) => [...new Set(all.map((one) => one.textContent))])
    expectEqual(rows, ['Completed'], 'states in the list')
  })
  await report.check('a chip can be dropped, and back brings it again', async () => {
    await page.click('button[aria-label^="Remove filter: Cluster"], button[aria-label*="aurora"]')
    await window.settled()
    expectEqual(window.address, `${PATH}?state=completed`, 'address')
    expectEqual(await countShown(page), (await site.jobs('state=completed')).length, 'jobs')
    await page.goBack()
    await window.settled()
    expectEqual(window.address, `${PATH}?cluster=aurora&state=completed`, 'address')
  })
  await report.check('filters can be typed', async () => {
    await page.fill('input[aria-label="Filter as text"]', 'user:ada state:completed')
    await page.keyboard.press('Enter')
    await page.waitForURL(/user=ada/)
    await window.settled()
    const users = await page.$$eval('tr.job td a[href^="/monitoring/user/"]', (all) => [
      ...new Set(all.map((one) => one.textContent)),
    ])
    expectEqual(users, ['ada'], 'users in the list')
  })
}

async function keys(report, window) {
  const { page, site } = window
  await report.check('/ searches, a job id and Enter open the job', async () => {
    await window.goto(PATH)
    await window.settled()
    const job = (await site.jobs('state=completed'))[0]
    await page.keyboard.press('/')
    await page.keyboard.type(String(job.jobId))
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/monitoring\/job\/\d+$/)
    await page.waitForSelector(`h1:has-text("Job ${job.jobId}")`)
    await window.settled()
  })
  await report.check('back leads to the list as it was; j and Enter open a job', async () => {
    await page.goBack()
    await window.settled()
    await page.keyboard.press('j')
    await page.keyboard.press('j')
    const id = await page.evaluate(() => document.activeElement?.textContent)
    await page.keyboard.press('Enter')
    await page.waitForSelector(`h1:has-text("Job ${id}")`)
    await window.settled()
  })
}
