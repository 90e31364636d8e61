// The browser, and pages that remember everything that went wrong in them.
import { createRequire } from 'node:module'
import { resolve } from 'node:path'

const require = createRequire(resolve(import.meta.dirname, '../../web/package.json'))
const { chromium } = require('playwright-core')

export const DESKTOP = { name: 'desktop', viewport: { width: 1440, height: 900 } }
export const PHONE = { name: 'phone', viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }
/** Longest wait for anything on a page, ms. */
export const PATIENCE = 10_000

/** Debian's Chromium with a fresh profile that asks nobody anything. */
export async function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

/** A window on the site: one context, one page, and a list of what went wrong since it was last read. */
export class Window {
  /** Statuses >= 400 that are the point of the check, as `401 /path`. */
  #expected = new Set()
  #problems = []
  #offline = false
  /** How many documents were asked for, and whether the last one is still to come. */
  #visit = 0
  #leaving = false

  static async open(browser, site, device, { session, colorScheme = 'light' } = {}) {
    const { name, ...options } = device
    const context = await browser.newContext({
      ...options,
      colorScheme,
      storageState: session,
      locale: 'en-GB',
      timezoneId: 'Europe/Berlin',
      reducedMotion: 'reduce',
    })
    context.setDefaultTimeout(PATIENCE)
    const window = new Window(site, context, name)
    await context.exposeBinding('__ccViolation', (_, text) => window.#problems.push(`content security policy: ${text}`))
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) =>
        globalThis.__ccViolation(
          `${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`,
        ),
      )
    })
    window.page = await context.newPage()
    window.#listen()
    return window
  }

  constructor(site, context, name) {
    this.site = site
    this.context = context
    this.name = name
  }

  #listen() {
    const { page, site } = this
    const problem = (text) => this.#problems.push(text)
    page.on('pageerror', (error) => problem(`uncaught: ${error.message}`))
    page.on('console', (message) => {
      if (!['error', 'warning'].includes(message.type())) return
      const { url } = message.location()
      const status = /responded with a status of (\d+)/.exec(message.text())?.[1]
      if (status && this.#isExpected(status, url)) return
      if (this.#offline && message.text().includes('net::ERR_')) return
      problem(`console ${message.type()}: ${message.text()} (${url})`)
    })
    const sent = new WeakMap()
    page.on('framenavigated', (frame) => {
      if (frame === page.mainFrame()) this.#leaving = false
    })
    page.on('request', (request) => {
      const url = request.url()
      if (request.isNavigationRequest() && request.frame() === page.mainFrame()) {
        this.#visit += 1
        this.#leaving = true
      }
      sent.set(request, { visit: this.#visit, leaving: this.#leaving })
      if (!url.startsWith(`${site.base}/`) && !/^(data|blob):/.test(url)) problem(`external request: ${url}`)
    })
    page.on('requestfailed', (request) => {
      const text = request.failure()?.errorText
      const path = new URL(request.url()).pathname
      // Given up by the page (an answer nobody waits for any more) or by the browser (its icon), never by the server.
      if (text === 'net::ERR_ABORTED' && /^\/(events|query|favicon.*)$/.test(path)) return
      // What a page had fetched ahead when it was left: the browser gives it up with the page.
      const { visit, leaving } = sent.get(request)
      if (text === 'net::ERR_ABORTED' && (leaving || visit !== this.#visit)) return
      if (!this.#offline) problem(`request failed: ${path}: ${text}`)
    })
    page.on('response', (response) => {
      const status = response.status()
      if (status >= 400 && !this.#isExpected(String(status), response.url())) {
        problem(`status ${status}: ${response.request().method()} ${response.url()}`)
      }
    })
  }

  #isExpected(status, url) {
    const { pathname } = new URL(url)
    return this.#expected.has(`${status} ${pathname}`)
  }

  /** The page itself is to answer so; nothing else may. */
  expectStatus(status, path) {
    this.#expected.add(`${status} ${path}`)
  }

  /** While the server is stopped on purpose, lost connections are no problem. */
  set offline(offline) {
    this.#offline = offline
  }

  /** What went wrong since the last call. */
  takeProblems() {
    return this.#problems.splice(0)
  }

  async goto(path) {
    return this.page.goto(this.site.base + path)
  }

  /** The path and query of the address. */
  get address() {
    const { pathname, search } = new URL(this.page.url())
    return pathname + search
  }

  /** Waits for something to hold in the page. */
  async waitFor(holds, argument, timeout = PATIENCE) {
    return this.page.waitForFunction(holds, argument, { timeout })
  }

  /** Waits until everything in sight is there. */
  async settled() {
    await this.waitFor(() => {
      if (document.readyState !== 'complete' || document.querySelector('.waiting')) return false
      const waiting = [...document.querySelectorAll('.skeleton, .later, [aria-busy="true"]')]
      return !waiting.some((element) => {
        const { top, bottom, width } = element.getBoundingClientRect()
        return width > 0 && bottom > 0 && top < innerHeight
      })
    })
    // Two frames: what was decided is drawn.
    await this.page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
  }

  async close() {
    await this.context.close()
  }
}

/** Signs in as a person does, and gives what the browser then keeps. */
export async function sessionOf(browser, site, user) {
  const window = await Window.open(browser, site, DESKTOP)
  await window.goto('/login')
  await window.page.fill('#username', user)
  await window.page.fill('#password', user)
  await window.page.click('button[type=submit]')
  await window.page.waitForURL(/\/monitoring\//)
  const session = await window.context.storageState()
  await window.close()
  return session
}
