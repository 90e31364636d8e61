import { describe, expect, it } from 'vitest'
import type { MetricConfig, MetricData, MetricsOfJob } from '@/lib/api/documents'
import { Catalog, scopesOf, unitsOf } from '@/lib/metrics/catalog'
import { MAX_LINES, ofHost, pickScope, toPlotData } from '@/lib/metrics/plot-data'
import { rate, shareWorse, thresholdsAt, verdict } from '@/lib/metrics/thresholds'
import { defaultScope, metricsOfJob, pointsFor, scopeFor } from '@/pages/job/job-scopes'

const config = (over: Partial<MetricConfig> = {}): MetricConfig => ({
  name: 'mem_bw',
  scope: 'socket',
  aggregation: 'sum',
  timestep: 60,
  peak: 350,
  normal: 100,
  caution: 50,
  alert: 10,
  lowerIsBetter: false,
  unit: { base: 'B/s', prefix: 'G' },
  ...over,
})

const UNITS = { node: 1, socket: 2, memoryDomain: 8, core: 72, hwthread: 144, accelerator: 4 }

describe('thresholds', () => {
  it('of a sum are divided among the units of a finer scope', () => {
    expect(thresholdsAt(config(), 'node', UNITS)).toMatchObject({ peak: 350, caution: 50 })
    expect(thresholdsAt(config(), 'socket', UNITS)).toMatchObject({ peak: 175, caution: 25 })
    expect(thresholdsAt(config(), 'core', UNITS)?.normal).toBeCloseTo(100 / 72)
    expect(thresholdsAt(config(), 'accelerator', { accelerator: 0 })).toMatchObject({ peak: 350 })
  })

  it('of an average are the same at each scope, without aggregation they hold for the node', () => {
    const average = config({ aggregation: 'avg' })
    expect(thresholdsAt(average, 'hwthread', UNITS)).toMatchObject({ peak: 350, alert: 10 })
    const none = config({ aggregation: '' })
    expect(thresholdsAt(none, 'socket', UNITS)).toBeNull()
    expect(thresholdsAt(none, 'node', UNITS)).toMatchObject({ peak: 350 })
  })

  it('of a part of a node are that part, unless the metric is of the whole node', () => {
    expect(thresholdsAt(config(), 'node', UNITS, 0.25)).toMatchObject({ peak: 87.5 })
    expect(thresholdsAt(config({ scope: 'node' }), 'node', UNITS, 0.25)?.peak).toBe(350)
  })

  it('take their direction from their order where the file does not say it', () => {
    const memory = config({ scope: 'node', normal: 128, caution: 200, alert: 240, peak: 512 })
    expect(thresholdsAt(memory, 'node', UNITS)?.lowerIsBetter).toBe(true)
    expect(thresholdsAt(config(), 'node', UNITS)?.lowerIsBetter).toBe(false)
  })

  it.each([
    [0, 'alert'],
    [10, 'alert'],
    [10.1, 'caution'],
    [50, 'caution'],
    [51, 'normal'],
    [100, 'normal'],
    [101, 'peak'],
    [350, 'peak'],
    [351, 'beyond'],
    [-1, 'beyond'],
  ])('rate %d as %s where more is better', (value, expected) => {
    const thresholds = thresholdsAt(config(), 'node', UNITS)
    expect(thresholds && rate(value, thresholds)).toBe(expected)
  })

  it.each([
    [0, 'normal'],
    [199, 'normal'],
    [200, 'caution'],
    [239, 'caution'],
    [240, 'alert'],
    [512, 'alert'],
    [513, 'beyond'],
  ])('rate %d as %s where less is better', (value, expected) => {
    const memory = config({ scope: 'node', normal: 128, caution: 200, alert: 240, peak: 512 })
    const thresholds = thresholdsAt(memory, 'node', UNITS)
    expect(thresholds && rate(value, thresholds)).toBe(expected)
  })

  it('name what was broken, with its value', () => {
    const thresholds = { peak: 350, normal: 100, caution: 50, alert: 10, lowerIsBetter: false }
    expect(verdict(5, thresholds)).toMatchObject({
      word: 'very low',
      broken: { name: 'alert', value: 10 },
    })
    expect(verdict(99, thresholds).broken).toBeNull()
    expect(shareWorse([[5, null, 60], [20]], thresholds)).toBeCloseTo(2 / 3)
    expect(shareWorse([[null]], thresholds)).toBeNull()
  })
})

const answer = (hosts: string[], over: Partial<MetricData> = {}): MetricData => ({
  timestep: 60,
  nativeTimestep: 60,
  firstTime: null,
  unit: { base: 'B/s', prefix: 'G' },
  series: hosts.map((hostname, at) => ({
    hostname,
    id: null,
    data: [at, null, at + 1],
    statistics: { avg: at, min: at, max: at + 1 },
  })),
  statisticsSeries: null,
  ...over,
})

describe('the data of a plot', () => {
  it('has its series in the order in which people count', () => {
    const data = toPlotData('m', 'node', answer(['n10', 'n2', 'n1']), 0)
    expect(data.series.map((series) => series.label)).toEqual(['n1', 'n2', 'n10'])
    expect(data.band).toBeNull()
    expect(data.lastAt).toBe(120)
  })

  it('names units below one node by themselves, below several with their node', () => {
    const series = (hostname: string, id: string) => ({
      hostname,
      id,
      data: [1],
      statistics: null,
    })
    const one = answer([], { series: [series('f1', '3')] })
    expect(toPlotData('m', 'core', one, 0).series[0]?.label).toBe('core 3')
    const gpu = answer([], { series: [series('a1', '0:0E'), series('a2', '0:0E')] })
    expect(toPlotData('m', 'accelerator', gpu, 0).series[1]?.label).toBe('a2 0:0E')
  })

  it('is a band above eight series, and starts where the samples do', () => {
    const hosts = Array.from({ length: MAX_LINES + 1 }, (_, at) => `n${at}`)
    const data = toPlotData('m', 'node', answer(hosts, { firstTime: 1060 }), 1000)
    expect(data.band).toEqual({ min: [0, null, 1], median: [4, null, 5], max: [8, null, 9] })
    expect(data.x).toEqual([60, 120, 180])
  })

  it('is a band where only that was sent', () => {
    const data = toPlotData(
      'm',
      'node',
      answer([], {
        series: null,
        statisticsSeries: { min: [1, 2], median: [], mean: [3, 4], max: [5, null] },
      }),
      0,
    )
    expect(data.band?.median).toEqual([3, 4])
    expect(data.statistics).toMatchObject({ min: 1, max: 5, mean: 3.5 })
  })

  it('fills up series that are shorter than others', () => {
    const short = answer(['a', 'b'])
    short.series?.[1]?.data.pop()
    const data = toPlotData('m', 'node', short, 0)
    expect(data.series.map((series) => series.data.length)).toEqual([3, 3])
  })

  it('has no statistics without any sample, whatever was sent', () => {
    const empty = answer(['a'])
    for (const series of empty.series ?? []) series.data.fill(null)
    expect(toPlotData('m', 'node', empty, 0)).toMatchObject({ statistics: null, lastAt: null })
  })

  it('of one host holds its series alone', () => {
    const hosts = Array.from({ length: 12 }, (_, at) => `n${at}`)
    const data = toPlotData('m', 'node', answer(hosts), 0)
    const only = ofHost(data, 'n3')
    expect(only.series.map((series) => series.host)).toEqual(['n3'])
    expect(only.band).toBeNull()
    expect(ofHost(data, 'elsewhere')).toBe(data)
  })

  it('is of the scope nearest to the one that was asked for', () => {
    const metric = answer(['a'])
    const job: MetricsOfJob = {
      id: 1,
      error: null,
      missing: null,
      metrics: ['node', 'core'].map((scope) => ({ name: 'm', scope, metric })),
    }
    expect(pickScope(job, 'm', 'core')?.scope).toBe('core')
    expect(pickScope(job, 'm', 'hwthread')?.scope).toBe('core')
    expect(pickScope(job, 'm', 'socket')?.scope).toBe('node')
    expect(pickScope(job, 'x', 'node')).toBeNull()
  })
})

const sub = {
  name: 'main',
  socketsPerNode: 2,
  coresPerSocket: 36,
  threadsPerCore: 2,
  metricConfig: [
    config({ name: 'other', scope: 'node' }),
    config({ name: 'acc_power', scope: 'accelerator' }),
    config({ name: 'cpu_load', scope: 'node' }),
    config({ name: 'ipc', scope: 'hwthread' }),
  ],
}

describe('the catalogue', () => {
  const global = (name: string, footprint: string, cluster: string) => ({
    name,
    footprint,
    unit: { base: '', prefix: '' },
    availability: [{ cluster, subClusters: ['main'] }],
  })
  const catalog = new Catalog({
    clusters: [{ name: 'fritz', partitions: [], subClusters: [sub] }],
    globalMetrics: [
      global('zeta', '', 'fritz'),
      global('cpu_load', 'avg', 'fritz'),
      global('beta', 'avg', 'fritz'),
      global('acc_utilization', 'avg', 'alex'),
    ],
  })

  it('knows where a metric is measured', () => {
    expect(catalog.config('fritz', 'main', 'ipc')?.scope).toBe('hwthread')
    expect(catalog.config('fritz', 'main', 'nosuch')).toBeNull()
    expect(catalog.config('fritz', 'nosuch', 'ipc')).toBeNull()
  })

  it('offers well-known metrics first, then those of the footprint', () => {
    expect(catalog.defaults('fritz', 3)).toEqual(['cpu_load', 'beta', 'zeta'])
    expect(catalog.defaults('alex')).toEqual(['acc_utilization'])
    expect(catalog.defaults(null, 2)).toEqual(['cpu_load', 'acc_utilization'])
  })

  it('counts the units of a node', () => {
    expect(unitsOf(sub, 4, 8)).toEqual({
      node: 1,
      socket: 2,
      memoryDomain: 8,
      core: 72,
      hwthread: 144,
      accelerator: 4,
    })
  })
})

describe('a job', () => {
  it('is plotted at the scope that tells most', () => {
    const ipc = config({ scope: 'hwthread' })
    const gpu = config({ scope: 'accelerator' })
    expect(defaultScope({ numNodes: 1 }, ipc)).toBe('core')
    expect(defaultScope({ numNodes: 4 }, ipc)).toBe('node')
    expect(defaultScope({ numNodes: 4 }, gpu)).toBe('accelerator')
  })

  it('is plotted at the scope that was chosen, as far as it is measured', () => {
    const none = { scope: null, scopes: {} }
    expect(scopesOf(config())).toEqual(['node', 'socket'])
    expect(scopeFor({ numNodes: 1 }, config(), none)).toBe('socket')
    expect(scopeFor({ numNodes: 1 }, config(), { scope: 'core', scopes: {} })).toBe('socket')
    expect(scopeFor({ numNodes: 1 }, config(), { scope: 'core', scopes: { mem_bw: 'node' } })).toBe(
      'node',
    )
  })

  it('has metrics of accelerators only when it has accelerators', () => {
    const names = (numAcc: number) =>
      metricsOfJob({ numAcc }, sub, new Set(['ipc'])).map((one) => one.name)
    expect(names(0)).toEqual(['cpu_load', 'ipc', 'other'])
    expect(names(2)).toEqual(['cpu_load', 'ipc', 'other', 'acc_power'])
  })

  it('asks for about as many points as there are pixels, more when zoomed', () => {
    expect(pointsFor(440, null, 86_400)).toBe(600)
    expect(pointsFor(440, [0, 8640], 86_400)).toBe(4800)
    expect(pointsFor(440, [0, 1], 864_000)).toBe(50_000)
  })
})
