import {
  FILTER_KEYS,
  noFilters,
  RANGE_NAMES,
  textFilter,
  type JobFilters,
  type Range,
} from '@/lib/url/filters'
import { STATE_NAMES } from '@/lib/format/states'

/** A seeded source of random values: a failing case can be run again by its seed. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b)
    mixed = (mixed ^ (mixed >>> 16)) >>> 0
    return mixed / 2 ** 32
  }

  int(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  chance(share: number): boolean {
    return this.next() < share
  }

  pick<T>(from: readonly T[]): T {
    const value = from[this.int(0, from.length - 1)]
    if (value === undefined) throw new Error('nothing to pick from')
    return value
  }

  /** Text with every sign that means something to an address or to the typed form. */
  text(): string {
    const signs = 'abcXYZ019 _-:;,.=~<>"\'\\/&#+%?!()[]{}|äß√\u00a0\t'
    return Array.from({ length: this.int(1, 12) }, () =>
      signs.charAt(this.int(0, signs.length - 1)),
    ).join('')
  }

  list<T>(make: () => T): T[] {
    return [...new Set(Array.from({ length: this.int(1, 3) }, make))]
  }
}

function randomRange(random: Random, decimals: boolean): Range {
  const bound = (): number =>
    decimals && random.chance(0.5) ? random.int(1, 9999) / 100 : random.int(1, 200_000)
  const open = random.pick(['from', 'to', 'none'])
  return { from: open === 'from' ? 0 : bound(), to: open === 'to' ? 0 : bound() }
}

/** Any filters a person could set, each with a probability of `share`. */
export function randomFilters(random: Random, share = 0.3): JobFilters {
  const all: JobFilters = {
    dbId: random.list(() => String(random.int(1, 99_999))),
    jobId: textFilter(
      random.pick(['eq', 'contains']),
      random.list(() => String(random.int(1, 999))),
    ),
    arrayJobId: random.int(0, 5000),
    jobName: random.text(),
    project: textFilter(random.pick(['eq', 'contains']), [random.text()]),
    user: textFilter(
      random.pick(['eq', 'contains']),
      random.list(() => random.text()),
    ),
    cluster: random.text(),
    subCluster: random.text(),
    partition: random.text(),
    state: STATE_NAMES.filter(() => random.chance(0.4)),
    shared: random.pick(['none', 'single_user', 'multi_user']),
    schedule: random.pick(['interactive', 'batch']),
    startTime: random.chance(0.5)
      ? { range: random.pick(RANGE_NAMES) }
      : { from: random.int(1, 2e9), to: random.chance(0.5) ? random.int(1, 2e9) : null },
    duration: randomRange(random, false),
    tags: random.list(() => random.int(-1, 300)),
    numNodes: randomRange(random, false),
    numHWThreads: randomRange(random, false),
    numAccelerators: randomRange(random, false),
    node: textFilter(random.pick(['eq', 'contains']), [random.text()]),
    energy: randomRange(random, true),
    stats: [
      { field: 'mem_bw_avg', ...randomRange(random, true) },
      { field: 'cpu_load_max', ...randomRange(random, true) },
    ].slice(0, random.int(1, 2)),
  }
  const filters = noFilters()
  for (const key of FILTER_KEYS)
    if (random.chance(share)) Object.assign(filters, { [key]: all[key] })
  if (filters.state.length === STATE_NAMES.length) filters.state = []
  return filters
}
