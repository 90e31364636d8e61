// The job view.
import { DESKTOP, PHONE, Window } from '../browser.mjs'
import { inspect, picture, silent } from '../inspect.mjs'
import { expect, expectEqual } from '../report.mjs'

const PLOT = '.panel .plot[role="application"]'

/** Opens a job and waits for its first plot, which is only asked for when it comes into sight. */
async function open(window, { id, jobId }) {
  const { page } = window
  await window.goto(`/monitoring/job/${id}`)
  await page.waitForSelector(`h1:has-text("Job ${jobId}")`)
  await page.locator('.panel.plot-panel').first().scrollIntoViewIfNeeded()
  await page.waitForSelector(`${PLOT} canvas`)
}

export async function job(report, browser, site, session) {
  const jobs = await site.jobs()
  const pick = (what, suits) => {
    const found = jobs.find(suits)
    expect(found !== undefined, `the site has no ${what}`)
    return found
  }
  const over = (one) => one.jobState === 'completed' && one.duration > 1200
  const shown = [
    ['job of several nodes', pick('job of several nodes', (one) => over(one) && one.numNodes >= 4)],
    ['job with accelerators', pick('job with accelerators', (one) => over(one) && one.numAcc > 0)],
    ['running job', pick('running job', (one) => one.jobState === 'running')],
  ]
  for (const device of [DESKTOP, PHONE]) {
    const window = await Window.open(browser, site, device, { session })
    for (const [what, one] of device === PHONE ? shown.slice(0, 2) : shown) {
      await open(window, one)
      if (device === PHONE) await picture(window, `${what}-plots`)
      await window.page.evaluate(() => scrollTo(0, 0))
      await inspect(report, window, what)
    }
    await dataTable(report, window, shown[0][1])
    if (device === DESKTOP) {
      await plots(report, window)
      await tabs(report, window, shown[0][1])
    }
    await silent(report, window, 'job view, after all')
    await window.close()
  }
}

async function dataTable(report, window, one) {
  const { page, name } = window
  await open(window, one)
  await report.check(`${name}: the values of a plot as a table`, async () => {
    const button = page.locator('button[aria-label^="Values of"]:enabled').first()
    await button.click()
    await page.waitForSelector('dialog[open] td')
    const { rows, numbers } = await page.$eval('dialog[open] table', (table) => ({
      rows: table.tBodies[0].rows.length,
      numbers: [...table.querySelectorAll('td')].filter((cell) => Number.isFinite(Number(cell.textContent))).length,
    }))
    expect(rows > 20 && numbers > rows, `${rows} rows with ${numbers} numbers`)
  })
  await inspect(report, window, 'values as a table')
  await report.check(`${name}: Escape closes it and gives the focus back`, async () => {
    await page.keyboard.press('Escape')
    await page.waitForSelector('dialog[open]', { state: 'detached' })
    await window.waitFor(() => document.activeElement?.getAttribute('aria-label')?.startsWith('Values of'))
  })
}

async function plots(report, window) {
  const { page } = window
  await report.check('every plot says its metric, its statistics and its keys', async () => {
    const labels = await page.$$eval(PLOT, (all) =>
      all.map((plot) => [plot.closest('.panel').querySelector('h3').textContent, plot.getAttribute('aria-label')]),
    )
    expect(labels.length >= 3, `${labels.length} plots`)
    for (const [metric, label] of labels) {
      const said =
        label.startsWith(`${metric}: mean `) && /min \S+, max \S+/.test(label) && label.includes('Arrow keys')
      expect(said, label)
    }
  })
  await report.check('keys move the cursor of all plots and the values are read out', async () => {
    await page.locator(PLOT).first().focus()
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('ArrowRight')
    await window.waitFor(() =>
      [...document.querySelectorAll('[role=status]')].some((one) => /^[\d:a-z\s.]+: .*\d/.test(one.textContent.trim())),
    )
    await page.waitForSelector('.tools .at:has-text(" ")')
  })
  await report.check('a zoom stands in the address and survives a reload', async () => {
    await page.keyboard.press('+')
    await page.waitForURL(/[?&]zoom=\d+-\d+/)
    const { address } = window
    await window.settled()
    await page.reload()
    await page.waitForSelector(`${PLOT} canvas`)
    await window.settled()
    expectEqual(window.address, address, 'address')
    await page.locator('button:has-text("Whole job")').click()
    await page.waitForURL((url) => !url.searchParams.has('zoom'))
    await page.goBack()
    await page.waitForURL((url) => url.pathname + url.search === address)
    await window.settled()
  })
}

async function tabs(report, window, { id }) {
  const { page } = window
  await report.check('nodes, script and scheduler information are there', async () => {
    await window.goto(`/monitoring/job/${id}`)
    await page.waitForSelector('[role=tab]')
    await page.click('[role=tab]:has-text("script")')
    await page.waitForSelector('pre:has-text("#!/bin/bash")')
    expect(window.address.includes('tab=script'), `address ${window.address}`)
    await page.keyboard.press('ArrowRight')
    await page.waitForSelector('pre:has-text("JobId=")')
    await window.settled()
  })
  await inspect(report, window, 'scheduler information')
}
