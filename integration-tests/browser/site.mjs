// A site of its own in a temporary folder: configuration, accounts, server, invented jobs.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const ROOT = resolve(import.meta.dirname, '../..')
const BIN = process.env.CC_BIN ?? join(resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target'), 'debug')
/** Finished jobs in the history. */
const JOBS = 60

/** Polls until `probe` gives something true; throws after `seconds`. */
export async function until(what, seconds, probe) {
  const end = Date.now() + seconds * 1000
  for (;;) {
    const found = await probe()
    if (found) return found
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`)
    await delay(20)
  }
}

async function freePort() {
  const server = createServer()
  await new Promise((done, failed) => {
    server.once('error', failed)
    server.listen(0, '127.0.0.1', done)
  })
  const { port } = server.address()
  await new Promise((done) => server.close(done))
  return port
}

const configuration = (port) => ({
  main: {
    addr: `127.0.0.1:${port}`,
    'short-running-jobs-duration': 300,
    'emission-constant': 317,
    resampling: { 'minimum-points': 600, trigger: 300, resolutions: [240, 60] },
  },
  site: { name: 'Northwind HPC', contact: 'hpc-support@northwind.example' },
  auth: { jwts: { 'max-age': '2000h' } },
  cron: { 'duration-worker': '1m', 'footprint-worker': '2m' },
  archive: { kind: 'file', path: './var/job-archive' },
  'metric-store': {
    checkpoints: { directory: './var/checkpoints' },
    'checkpoint-interval': '10m',
    'retention-in-memory': '192h',
    'memory-cap': 8,
  },
})

export class Site {
  /** Folder of the screenshots. */
  pictures
  #folder
  #token = ''
  #split
  #server = null
  #simulator = null

  /** @param deployment `one` process or `split` into services */
  constructor(deployment) {
    this.#split = deployment === 'split'
    this.pictures = join(ROOT, 'integration-tests/output/screenshots', deployment)
    rmSync(this.pictures, { recursive: true, force: true })
    mkdirSync(this.pictures, { recursive: true })
    this.#folder = mkdtempSync(join(tmpdir(), 'cc-browser-'))
  }

  async make() {
    for (const name of ['cc-backend', 'simulator']) {
      if (!existsSync(join(BIN, name))) throw new Error(`${join(BIN, name)} is missing: cargo build --workspace --bins`)
    }
    this.#run('cc-backend', '-init')
    const port = await freePort()
    this.base = `http://127.0.0.1:${port}`
    writeFileSync(join(this.#folder, 'config.json'), JSON.stringify(configuration(port), null, 2))
    this.#run('simulator', 'site', '.')
    for (const account of this.#run('simulator', 'accounts').trim().split('\n')) {
      if (/^(operator|sam|ada|scheduler):/.test(account)) this.#run('cc-backend', '-add-user', account)
    }
    const words = this.#run('cc-backend', '-jwt', 'scheduler')
    this.#token = /Successfully.*: (\S+)/.exec(words)?.[1] ?? ''
  }

  /** Starts the server and waits until it says that it is ready. */
  async start() {
    const [program, ...args] = this.#split
      ? [join(ROOT, 'deploy/split-local'), '-config', 'config.json']
      : [join(BIN, 'cc-backend'), '-server']
    this.#server = this.#spawn('server', program, args, { CC_BIN: BIN })
    await until('the server is ready', 60, async () => {
      if (this.#server.exitCode !== null) throw new Error(`the server ended:\n${this.#log('server')}`)
      return fetch(`${this.base}/readyz`).then(
        (answer) => answer.ok,
        () => false,
      )
    })
  }

  async stop() {
    await end(this.#server, 60)
    this.#server = null
  }

  /** Tells the history and keeps jobs running from then on. */
  async play() {
    this.#simulator = this.#spawn('simulator', join(BIN, 'simulator'), ['play', this.base, this.#token], {
      CC_SIM_JOBS: String(JOBS),
    })
    await until('the simulator has told its jobs', 90, () => {
      if (this.#simulator.exitCode !== null) throw new Error(`the simulator ended:\n${this.#log('simulator')}`)
      const told = this.#log('simulator')
      return told.includes('the history is complete') && /\d+ jobs are running/.test(told)
    })
  }

  async stopPlaying() {
    await end(this.#simulator, 10)
    this.#simulator = null
  }

  async close() {
    await this.stopPlaying()
    await this.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** A REST call with the scheduler's token; gives the JSON of a success. */
  async rest(path, body) {
    const answer = await fetch(this.base + path, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { Authorization: `Bearer ${this.#token}`, 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`)
    return JSON.parse(text)
  }

  /** What the site says on all pages, as an editor of the file would put it. */
  notice(text) {
    const file = join(this.#folder, 'var/notice.txt')
    if (text === '') rmSync(file)
    else writeFileSync(file, text)
  }

  /** Samples, as line protocol. */
  async write(lines) {
    const headers = { Authorization: `Bearer ${this.#token}` }
    const answer = await fetch(`${this.base}/api/write/`, { method: 'POST', headers, body: lines })
    if (!answer.ok) throw new Error(`/api/write/: ${answer.status} ${await answer.text()}`)
  }

  /** Jobs as the REST interface tells them: what the pages are compared with. */
  async jobs(query = '') {
    return (await this.rest(`/api/jobs/?items-per-page=100000&page=1${query && `&${query}`}`)).jobs
  }

  #run(name, ...args) {
    const done = spawnSync(join(BIN, name), args, { cwd: this.#folder, encoding: 'utf8' })
    if (done.status !== 0) throw new Error(`${name} ${args[0]}: ${done.stdout}${done.stderr}`)
    return done.stdout
  }

  #spawn(log, program, args, env) {
    const file = openSync(join(this.#folder, `${log}.log`), 'a')
    return spawn(program, args, { cwd: this.#folder, env: { ...process.env, ...env }, stdio: ['ignore', file, file] })
  }

  #log(name) {
    return readFileSync(join(this.#folder, `${name}.log`), 'utf8').slice(-4000)
  }
}

async function end(child, seconds) {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  try {
    await until('the process ends', seconds, () => child.exitCode !== null || child.signalCode !== null)
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
}
