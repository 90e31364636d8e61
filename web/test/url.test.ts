import { describe, expect, it } from 'vitest'
import { activeKeys, without } from '@/lib/url/filters'
import { toFilterInput } from '@/lib/url/filter-graphql'
import { formatTypedFilter, parseTypedFilter } from '@/lib/url/filter-text'
import { formatJobList, parseJobList, type JobListState } from '@/lib/url/job-list-state'
import { formatJobView, parseJobView, type JobViewState } from '@/lib/url/job-state'
import { Random, randomFilters } from './random'

const CASES = 2000

function randomList(random: Random): JobListState {
  return {
    filters: randomFilters(random),
    sort: {
      field: random.pick(['startTime', 'duration', 'mem_bw_avg']),
      descending: random.chance(0.5),
    },
    density: random.pick(['table', 'plots']),
    metrics: random.chance(0.5) ? null : random.list(() => random.pick(['cpu_load', 'mem_bw'])),
    scale: random.pick(['shared', 'own', 'peak']),
    row: random.chance(0.5) ? 1 : random.int(1, 100_000),
  }
}

function randomView(random: Random): JobViewState {
  const from = random.int(0, 90_000)
  return {
    metrics: random.chance(0.5) ? null : ['cpu_load', 'mem_bw'],
    scope: random.chance(0.5) ? null : random.pick(['node', 'core', 'accelerator']),
    scopes: random.chance(0.5) ? {} : { mem_bw: 'socket', ipc: 'hwthread' },
    host: random.chance(0.5) ? null : 'f0101',
    zoom: random.chance(0.5) ? null : [from, from + random.int(1, 9000)],
    isolated: random.chance(0.5)
      ? []
      : [
          { metric: 'acc_power', host: 'a0601', id: '00000000:0E:00.0' },
          { metric: 'cpu_load', host: random.pick(['f0101', 'node-7.site.example']), id: null },
        ],
    yAxis: random.pick(['zero', 'fit', 'peak']),
    tab: random.pick(['hosts', 'script', 'scheduler']),
  }
}

describe('an address', () => {
  it('gives back every state of the job list', () => {
    for (let seed = 1; seed <= CASES; seed += 1) {
      const state = randomList(new Random(seed))
      const { state: read, ignored } = parseJobList(formatJobList(state))
      expect(read, `seed ${seed}: ${formatJobList(state)}`).toEqual(state)
      expect(ignored).toEqual([])
    }
  })

  it('gives back every state of the job view', () => {
    for (let seed = 1; seed <= CASES; seed += 1) {
      const state = randomView(new Random(seed))
      expect(parseJobView(formatJobView(state)), `seed ${seed}`).toEqual(state)
    }
  })

  it('is empty when nothing is chosen', () => {
    expect(formatJobList(parseJobList('').state)).toBe('')
    expect(formatJobView(parseJobView(''))).toBe('')
  })

  it.each([
    ['cluster=alpha&state=running', '[{"cluster":{"eq":"alpha"}},{"state":["running"]}]'],
    ['project=p1', '[{"project":{"eq":"p1"}}]'],
    ['user=ab', '[{"user":{"contains":"ab"}}]'],
    ['user=ab&user=cd', '[{"user":{"in":["ab","cd"]}}]'],
    [
      'jobId=11&jobId=12&cluster=alpha',
      '[{"cluster":{"eq":"alpha"}},{"jobId":{"in":["11","12"]}}]',
    ],
    [
      'duration=morethan-3600&numNodes=2-8',
      '[{"numNodes":{"from":2,"to":8}},{"duration":{"from":3600,"to":0}}]',
    ],
    ['duration=lessthan-60', '[{"duration":{"from":0,"to":60}}]'],
    ['numAccelerators=morethan-1', '[{"numAccelerators":{"from":1,"to":0}}]'],
    [
      'startTime=1700000000-1700003600&tag=3&tag=x',
      '[{"tags":[3,-1]},{"startTime":{"from":"2023-11-14T22:13:20Z","to":"2023-11-14T23:13:20Z"}}]',
    ],
    [
      'startTime=last7d&stat=mem_bw_avg-10-50',
      '[{"startTime":{"range":"last7d"}},{"metricStats":[{"metricName":"mem_bw_avg","range":{"from":10,"to":50}}]}]',
    ],
    [
      'stat=mem_bw_avg:0.5..',
      '[{"metricStats":[{"metricName":"mem_bw_avg","range":{"from":0.5,"to":0}}]}]',
    ],
    [
      'node=n01&schedule=batch&shared=none',
      '[{"shared":"none"},{"node":{"eq":"n01"}},{"schedule":"batch"}]',
    ],
    ['numNodes=abc&stat=a-b&duration=5', '[]'],
    ['dbId=1&dbId=2&energy=lessthan-5', '[{"dbId":["1","2"]},{"energy":{"from":0,"to":5}}]'],
    ['project=p1&projectMatch=contains', '[{"project":{"contains":"p1"}}]'],
    ['user=ab&userMatch=eq', '[{"user":{"eq":"ab"}}]'],
    ['jobName=a%26b+c', '[{"jobName":{"contains":"a&b c"}}]'],
    ['arrayJobId=7', '[{"arrayJobId":7}]'],
    ['nosuch=1&startTime=lastyear', '[]'],
  ])('of old keeps its meaning: %s', (query, expected) => {
    const { state } = parseJobList(`?${query}`)
    expect(toFilterInput(state.filters)).toEqual(JSON.parse(expected))
  })

  it('says what of it cannot be read', () => {
    const { ignored } = parseJobList(
      '?numNodes=abc&stat=a-b&startTime=lastyear&state=running&state=x',
    )
    expect(ignored).toEqual(['state=x', 'startTime=lastyear', 'numNodes=abc', 'stat=a-b'])
  })

  it('names the user of a page last', () => {
    const { state } = parseJobList('?schedule=batch')
    expect(toFilterInput(state.filters, 'ada')).toEqual([
      { schedule: 'batch' },
      { user: { eq: 'ada' } },
    ])
  })
})

describe('a typed filter', () => {
  it('gives back every filter', () => {
    for (let seed = 1; seed <= CASES; seed += 1) {
      const filters = randomFilters(new Random(seed))
      const text = formatTypedFilter(filters)
      const read = parseTypedFilter(text)
      expect(read.errors, `seed ${seed}: ${text}`).toEqual([])
      expect(read.filters, `seed ${seed}: ${text}`).toEqual(filters)
    }
  })

  it('reads what people type', () => {
    const { filters, errors } = parseTypedFilter(
      'state:failed user:ab gpu>=4 dur>=2h dur<=1d 398921',
    )
    expect(errors).toEqual([])
    expect(toFilterInput(filters)).toEqual([
      { state: ['failed'] },
      { user: { contains: 'ab' } },
      { numAccelerators: { from: 4, to: 0 } },
      { duration: { from: 7200, to: 86_400 } },
      { jobId: { eq: '398921' } },
    ])
  })

  it.each([
    'foo:bar',
    'state:sleeping',
    'gpu>=many',
    'user:',
    'start:yesterday',
    'project:a,b',
    'shared:maybe',
  ])('says what is wrong with %s', (text) => {
    expect(parseTypedFilter(text).errors).toHaveLength(1)
  })
})

describe('dropping a filter', () => {
  it('leaves no trace of it', () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      let filters = randomFilters(new Random(seed), 0.5)
      for (const key of activeKeys(filters)) filters = without(filters, key)
      expect(activeKeys(filters)).toEqual([])
    }
  })
})
