import { describe, expect, it } from 'vitest'
import { bandOf, lastSample, reduceMinMax, statisticsOf, type Samples } from '@/lib/metrics/reduce'
import { Random } from './random'

function randomSeries(random: Random, length: number): Samples {
  return Array.from({ length }, () => (random.chance(0.1) ? null : random.next() * 100))
}

const present = (series: Samples): number[] => series.filter((value) => value !== null)

describe('reducing', () => {
  it('never gives more points than asked for, and keeps minimum and maximum', () => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const random = new Random(seed)
      const length = random.int(1, 3000)
      const points = random.int(2, 900)
      const ys = [randomSeries(random, length), randomSeries(random, length)]
      const x = Array.from({ length }, (_, at) => at * 60)
      const reduced = reduceMinMax({ x, ys }, points)
      expect(reduced.x.length).toBeLessThanOrEqual(Math.max(points, 2))
      expect(reduced.x).toEqual([...reduced.x].sort((a, b) => a - b))
      for (const [at, series] of reduced.ys.entries()) {
        const full = ys[at] ?? []
        expect(series).toHaveLength(reduced.x.length)
        if (present(full).length === 0) continue
        expect(Math.min(...present(series)), `seed ${seed}`).toBe(Math.min(...present(full)))
        expect(Math.max(...present(series)), `seed ${seed}`).toBe(Math.max(...present(full)))
      }
    }
  })

  it('keeps a spike of one sample in a day at every width', () => {
    const y: Samples = Array.from({ length: 1440 }, () => 1)
    y[717] = 99
    const x = y.map((_, at) => at * 60)
    for (const width of [40, 90, 320, 1000]) {
      const reduced = reduceMinMax({ x, ys: [y] }, width)
      expect(reduced.ys[0]).toContain(99)
    }
  })

  it('keeps a gap a gap', () => {
    const y: Samples = Array.from({ length: 1000 }, (_, at) => (at >= 300 && at < 500 ? null : 5))
    const x = y.map((_, at) => at)
    const reduced = reduceMinMax({ x, ys: [y] }, 100)
    const gap = reduced.x.filter((_, at) => reduced.ys[0]?.[at] === null)
    expect(gap.length).toBe(20)
    expect(Math.min(...gap)).toBeGreaterThanOrEqual(300)
    expect(Math.max(...gap)).toBeLessThan(500)
  })

  it('leaves short data alone', () => {
    const data = { x: [0, 60, 120], ys: [[1, null, 3]] }
    expect(reduceMinMax(data, 100)).toBe(data)
  })
})

describe('a band', () => {
  it('skips what is missing instead of counting it as zero', () => {
    const band = bandOf([
      [1, null, 5],
      [3, null, null],
      [8, null, 7, 9],
    ])
    expect(band).toEqual({
      min: [1, null, 5, 9],
      median: [3, null, 6, 9],
      max: [8, null, 7, 9],
    })
  })

  it('has the middle of an even number between two, and none of nothing', () => {
    expect(bandOf([[4], [1], [null]]).median).toEqual([2.5])
    expect(bandOf([[null]])).toEqual({ min: [null], median: [null], max: [null] })
    expect(bandOf([])).toEqual({ min: [], median: [], max: [] })
  })
})

describe('statistics', () => {
  it('are those of the samples that are there', () => {
    expect(statisticsOf([[1, null, 3], [8]])).toEqual({ min: 1, max: 8, mean: 4, count: 3 })
    expect(statisticsOf([[null], []])).toBeNull()
  })

  it('know the last sample', () => {
    expect(
      lastSample([
        [1, null, null],
        [null, 2, null],
      ]),
    ).toBe(1)
    expect(lastSample([[null]])).toBe(-1)
  })
})
