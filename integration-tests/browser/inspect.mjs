// What must hold on every page, whatever it shows.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { expectNone } from './report.mjs'

const require = createRequire(resolve(import.meta.dirname, '../../web/package.json'))
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']
/** The narrowest screen that everything must fit on, px. */
const NARROWEST = 360

/** Inspects the page as it stands, in both themes; a picture of each. */
export async function inspect(report, window, what) {
  const { page, name } = window
  await window.settled()
  await report.check(`${name}: ${what}: one heading, plots have names`, async () => {
    expectNone(await page.evaluate(structure), 'structure')
  })
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme })
    await window.settled()
    await picture(window, `${what}-${scheme}`)
    await report.check(`${name}: ${what}: axe, ${scheme}`, () => accessible(page))
  }
  await page.emulateMedia({ colorScheme: 'light' })
  await report.check(`${name}: ${what}: no sideways scrolling`, () => fits(window))
  await silent(report, window, what)
}

/** Neither console nor network nor policy had anything to say. */
export async function silent(report, window, what) {
  await report.check(`${window.name}: ${what}: console and network are silent`, () =>
    expectNone(window.takeProblems(), 'problems'),
  )
}

export async function picture(window, what) {
  const file = `${window.name}-${what}`.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
  await window.page.screenshot({ path: join(window.site.pictures, `${file}.png`) })
}

async function accessible(page) {
  const findings = await page.evaluate(
    async ([source, tags]) => {
      // Through the debugger, which the content security policy does not bind.
      if (globalThis.axe === undefined) return source
      const result = await globalThis.axe.run(document, {
        runOnly: tags,
        resultTypes: ['violations'],
      })
      return result.violations.map(
        ({ id, help, nodes }) =>
          `${id}: ${help}: ${nodes
            .slice(0, 4)
            .map(
              (node) =>
                `${node.target.join(' ')} (${node.any[0]?.message ?? node.all[0]?.message ?? node.none[0]?.message ?? ''})`,
            )
            .join(' | ')}${nodes.length > 4 ? ` and ${nodes.length - 4} more` : ''}`,
      )
    },
    [null, TAGS],
  )
  if (findings === null) {
    await page.evaluate(AXE)
    return accessible(page)
  }
  expectNone(findings, 'axe')
}

/** Runs in the page: what is wider than the window. */
export function sideways() {
  const { scrollWidth, clientWidth } = document.documentElement
  if (scrollWidth <= clientWidth) return []
  const wide = [...document.body.querySelectorAll('*')].filter(
    (element) => element.getBoundingClientRect().right > clientWidth + 1,
  )
  return [
    `${scrollWidth} px on ${clientWidth} px: ${wide
      .slice(0, 5)
      .map((one) => `${one.tagName}.${one.className}`)
      .join(', ')}`,
  ]
}

async function fits({ page, name }) {
  expectNone(await page.evaluate(sideways), 'sideways')
  if (name !== 'phone') return
  const size = page.viewportSize()
  await page.setViewportSize({ ...size, width: NARROWEST })
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
  const narrow = await page.evaluate(sideways)
  await page.setViewportSize(size)
  expectNone(narrow, 'sideways')
}

/** Runs in the page. */
function structure() {
  const findings = []
  const headings = document.querySelectorAll('h1')
  if (headings.length !== 1 || headings[0].textContent.trim() === '') {
    findings.push(`${headings.length} h1: ${[...headings].map((one) => one.textContent).join(' | ')}`)
  }
  if (document.title.trim() === '') findings.push('no title')
  const nameOf = (element) => {
    const by = element.getAttribute('aria-labelledby')
    return (by ? document.getElementById(by)?.textContent : element.getAttribute('aria-label'))?.trim() ?? ''
  }
  for (const plot of document.querySelectorAll('canvas, svg:not(.icon)')) {
    if (plot.closest('[aria-hidden="true"]') && plot.localName === 'svg') continue
    const owner = plot.closest('[role="img"], [role="application"]')
    const name = owner ? nameOf(owner) : ''
    if (name === '') findings.push(`${plot.localName}.${plot.getAttribute('class')}: a plot without a name`)
    else if (/undefined|NaN|null|Infinity|\[object/.test(name)) findings.push(`the name of a plot: ${name}`)
  }
  const text = document.body.innerText
  const odd = /.{0,30}\b(undefined|NaN|\[object Object\])\b.{0,30}/.exec(text)
  if (odd) findings.push(`text: ${odd[0]}`)
  return findings
}
