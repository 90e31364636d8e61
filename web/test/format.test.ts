import { describe, expect, it } from 'vitest'
import { compressHosts } from '@/lib/format/hosts'
import {
  formatCount,
  formatPercent,
  formatQuantity,
  plural,
  scaleFor,
  significant,
} from '@/lib/format/number'
import {
  durationText,
  formatDuration,
  formatElapsedTick,
  formatShortInstant,
  parseDuration,
} from '@/lib/format/time'
import { Random } from './random'

/** No-break spaces as plain ones, so that expectations can be read. */
const plain = (text: string): string => text.replaceAll(/[\u00a0\u202f]/g, ' ')

describe('a number', () => {
  it('never has more than four significant digits nor an exponent', () => {
    const random = new Random(7)
    for (let at = 0; at < 5000; at += 1) {
      const value = (random.next() - 0.3) * 10 ** random.int(-6, 12)
      const text = significant(value, 4)
      expect(text).toMatch(/^-?\d+(\.\d+)?$/)
      const digits = text.replace(/^-?0*\.?0*/, '').replace('.', '')
      expect(digits.replace(/0+$/, '').length, text).toBeLessThanOrEqual(4)
      expect(Math.abs(Number(text) - value)).toBeLessThanOrEqual(Math.abs(value) * 1e-3)
    }
  })

  it.each([
    [71.234, { base: '' }, '71.2'],
    [0, { base: 'B/s', prefix: 'G' }, '0 GB/s'],
    [1234, { base: 'F/s', prefix: 'G' }, '1.23 TF/s'],
    [0.5, { base: 'F/s', prefix: 'G' }, '500 MF/s'],
    [999.9, { base: 'B/s', prefix: 'M' }, '1 GB/s'],
    [8_000_000_000, { base: 'B' }, '8 GB'],
    [2048, { base: 'B', prefix: 'Mi' }, '2 GiB'],
    [97.36, { base: '%' }, '97.4 %'],
    [61, { base: '°C' }, '61 °C'],
    [2400, { base: 'Hz', prefix: 'M' }, '2.4 GHz'],
    [1_250_000, { base: 'packets/s' }, '1.25 M packets/s'],
    [0.25, { base: 'W' }, '0.25 W'],
    [1.27, { base: 'IPC' }, '1.27 IPC'],
    [null, { base: 'B' }, '–'],
  ])('%s of %o is %s', (value, unit, expected) => {
    expect(plain(formatQuantity(value, unit))).toBe(expected)
  })

  it('keeps its value when its prefix changes', () => {
    const scale = scaleFor(1500, { base: 'B', prefix: 'M' })
    expect(scale).toEqual({ factor: 0.001, unit: 'GB' })
  })

  it('is honest as a percentage', () => {
    expect([0, 0.004, 0.5, 0.996, 1].map((share) => plain(formatPercent(share)))).toEqual([
      '0 %',
      '< 1 %',
      '50 %',
      '> 99 %',
      '100 %',
    ])
  })

  it('counts in groups and words', () => {
    expect(plain(formatCount(102345))).toBe('102 345')
    expect(plain(plural(1, 'job'))).toBe('1 job')
    expect(plain(plural(0, 'job'))).toBe('0 jobs')
  })
})

describe('a duration', () => {
  it.each([
    [0, '0 s'],
    [12, '12 s'],
    [60, '1 min'],
    [312, '5 min 12 s'],
    [1020, '17 min'],
    [7500, '2 h 05 min'],
    [86_400, '1 d 00 h'],
    [100_000, '1 d 03 h'],
    [-60, '−1 min'],
  ])('of %d s is %s', (seconds, expected) => {
    expect(plain(formatDuration(seconds))).toBe(expected)
  })

  it.each([
    ['2h', 7200],
    ['1d 12h', 129_600],
    ['90 min', 5400],
    ['1:30', 5400],
    ['1:30:10', 5410],
    ['45', 45],
    ['1.5h', 5400],
    ['soon', null],
    ['', null],
  ])('typed as "%s" is %s s', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds)
  })

  it('is read back as written', () => {
    const random = new Random(3)
    for (let at = 0; at < 2000; at += 1) {
      const seconds = random.int(0, 10 ** random.int(1, 7))
      expect(parseDuration(durationText(seconds))).toBe(seconds)
    }
  })
})

describe('a time', () => {
  it('is short in a column', () => {
    const now = new Date(2026, 2, 10, 12, 0)
    const show = (date: Date): string => plain(formatShortInstant(date, now))
    expect(show(new Date(2026, 2, 10, 9, 5))).toBe('09:05')
    expect(show(new Date(2026, 2, 1, 10, 0))).toBe('1 Mar 10:00')
    expect(show(new Date(2024, 2, 1, 10, 0))).toBe('1 Mar 2024')
  })

  it('is plain on an axis', () => {
    const ticks = [
      [0, 600],
      [1800, 600],
      [3600, 600],
      [5400, 1800],
      [90, 30],
      [172_800, 86_400],
    ] as const
    expect(ticks.map(([at, step]) => plain(formatElapsedTick(at, step)))).toEqual([
      '0',
      '30 min',
      '1 h',
      '1:30 h',
      '1:30',
      '2 d',
    ])
  })
})

describe('a list of hosts', () => {
  it.each([
    [['f0951', 'f0952', 'f0954'], 'f[0951-0952,0954]'],
    [['f0101'], 'f0101'],
    [['a1', 'a2', 'b1'], 'a[1-2],b1'],
    [['n9', 'n10'], 'n9,n10'],
    [['vm'], 'vm'],
    [['r1n1-ib', 'r1n2-ib'], 'r1n[1-2]-ib'],
    [[], ''],
  ])('%s is %s', (hosts, expected) => {
    expect(compressHosts(hosts)).toBe(expected)
  })
})
