// The UI in a real browser against a whole site.
//
//   node integration-tests/browser/run.mjs --deployment one|split [--only PART,...]
//
// Makes a site in a temporary folder, fills it, and looks at every page: light and dark, wide and narrow. Pictures go to
// integration-tests/output/screenshots/<deployment>. Needs built binaries (cargo build --workspace --bins), web/node_modules and Chromium.
import { parseArgs } from 'node:util'
import { join } from 'node:path'
import { launch, sessionOf } from './browser.mjs'
import { failures } from './pages/failures.mjs'
import { figures } from './pages/figures.mjs'
import { job } from './pages/job.mjs'
import { list } from './pages/list.mjs'
import { live } from './pages/live.mjs'
import { login } from './pages/login.mjs'
import { notice } from './pages/notice.mjs'
import { rights } from './pages/rights.mjs'
import { theme } from './pages/theme.mjs'
import { visit } from './pages/visit.mjs'
import { Report } from './report.mjs'
import { Site } from './site.mjs'

const { values } = parseArgs({ options: { deployment: { type: 'string', default: 'one' }, only: { type: 'string' } } })
const { deployment } = values
if (deployment !== 'one' && deployment !== 'split') {
  console.error('usage: run.mjs --deployment one|split [--only PART,...]')
  process.exit(2)
}

/** The parts in order; live comes last because it stops the server. */
const PARTS = {
  figures: (ground) => figures(ground.report, ground.browser, ground.site, ground.operator),
  login: (ground) => login(ground.report, ground.browser, ground.site),
  list: (ground) => list(ground.report, ground.browser, ground.site, ground.operator),
  job: (ground) => job(ground.report, ground.browser, ground.site, ground.operator),
  rights: (ground) => rights(ground.report, ground.browser, ground.site, ground.ada),
  theme: (ground) => theme(ground.report, ground.browser, ground.site, ground.operator),
  visit: (ground) => visit(ground.report, ground.browser, ground.site, ground.operator),
  notice: (ground) => notice(ground.report, ground.browser, ground.site, ground.operator),
  failures: (ground) => failures(ground.report, ground.browser, ground.site, ground.operator),
  live: (ground) => live(ground.report, ground.browser, ground.site, ground.operator),
}

const chosen = values.only?.split(',') ?? Object.keys(PARTS)
const unknown = chosen.filter((name) => !(name in PARTS))
if (unknown.length > 0) {
  console.error(`unknown parts ${unknown.join(', ')}; parts: ${Object.keys(PARTS).join(', ')}`)
  process.exit(2)
}

const began = Date.now()
const seconds = () => `${((Date.now() - began) / 1000).toFixed(1)} s`
const site = new Site(deployment)
let browser = null

/** A picture of each open page, to see why a check failed. */
async function onFailure(number) {
  for (const [at, context] of (browser?.contexts() ?? []).entries()) {
    for (const page of context.pages()) {
      await page.screenshot({ path: join(site.pictures, `failed-${number}-${at}.png`) }).catch(() => undefined)
    }
  }
}

const report = new Report(onFailure)
let ending = false
async function close() {
  if (ending) return
  ending = true
  await browser?.close()
  await site.close()
}
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void close().finally(() => process.exit(130)))

try {
  await site.make()
  await site.start()
  await site.play()
  report.figure('the site stands after', seconds())
  browser = await launch()
  const ground = { report, browser, site }
  ground.operator = await sessionOf(browser, site, 'operator')
  ground.ada = await sessionOf(browser, site, 'ada')
  for (const name of chosen) {
    // A part that cannot go on is one failure; the others still run.
    await PARTS[name](ground).catch((error) => report.check(`${name}: goes on to its end`, () => Promise.reject(error)))
    for (const context of browser.contexts()) await context.close()
  }
} catch (error) {
  await report.check('the suite runs', () => Promise.reject(error))
} finally {
  await close().catch((error) => report.check('the site ends in order', () => Promise.reject(error)))
}
report.figure('all after', seconds())
report.end()
process.exitCode = report.failed > 0 ? 1 : 0
