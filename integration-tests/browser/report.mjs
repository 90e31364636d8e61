// One line per check, counts and figures; a check that fails does not stop the others.

const LONGEST_MESSAGE = 1500

export class Report {
  passed = 0
  failed = 0
  figures = []
  #onFailure

  /** @param onFailure called with the name of a check that failed, e.g. to take a picture */
  constructor(onFailure) {
    this.#onFailure = onFailure
  }

  /** Runs one check: passed unless it throws. Gives what it returns, `undefined` where it failed. */
  async check(name, run) {
    try {
      const result = await run()
      this.passed += 1
      console.log(`ok    ${name}`)
      return result
    } catch (error) {
      this.failed += 1
      const message = String(error?.message ?? error).slice(0, LONGEST_MESSAGE)
      console.log(`FAIL  ${name}\n      ${message.replaceAll('\n', '\n      ')}`)
      await this.#onFailure(this.failed)
      return undefined
    }
  }

  /** Something measured; printed, never asserted. */
  figure(name, value) {
    this.figures.push(`${name}: ${value}`)
  }

  end() {
    console.log()
    for (const figure of this.figures) console.log(`figure  ${figure}`)
    console.log(`\n${this.passed} passed, ${this.failed} failed`)
  }
}

export function expect(condition, message) {
  if (!condition) throw new Error(message)
}

export function expectEqual(actual, expected, what) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (a !== b) throw new Error(`${what}: ${a} instead of ${b}`)
}

export function expectNone(findings, what) {
  if (findings.length > 0) throw new Error(`${what}:\n${findings.join('\n')}`)
}
