import { describe, expect, it } from 'vitest'
import { DARK, LIGHT } from '@/lib/plot/palette'

type Vector = [number, number, number]

const linear = (channel: number): number =>
  channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4

function parse(hex: string): Vector {
  return [1, 3, 5].map((at) => linear(Number.parseInt(hex.slice(at, at + 2), 16) / 255)) as Vector
}

const luminance = ([r, g, b]: Vector): number => 0.2126 * r + 0.7152 * g + 0.0722 * b

function contrast(a: string, b: string): number {
  const [x, y] = [luminance(parse(a)), luminance(parse(b))]
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05)
}

const dot = (row: Vector, colour: Vector): number =>
  row[0] * colour[0] + row[1] * colour[1] + row[2] * colour[2]

const apply = (matrix: Vector[], colour: Vector): Vector =>
  matrix.map((row) => Math.min(1, Math.max(0, dot(row, colour)))) as Vector

/** Simulation of full dichromacy after Machado, Oliveira and Fernandes (2009), linear RGB. */
const SIGHTS: Record<string, Vector[]> = {
  normal: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
}

function oklab([r, g, b]: Vector): Vector {
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ]
}

function distance(a: string, b: string, sight: Vector[]): number {
  const [x, y] = [oklab(apply(sight, parse(a))), oklab(apply(sight, parse(b)))]
  return Math.hypot(x[0] - y[0], x[1] - y[1], x[2] - y[2])
}

describe.each([
  ['light', LIGHT],
  ['dark', DARK],
])('the %s palette', (_, palette) => {
  it('has eight lines with a contrast of 3:1 or more', () => {
    expect(palette.lines).toHaveLength(8)
    for (const line of palette.lines) {
      expect(contrast(line, palette.surface), line).toBeGreaterThanOrEqual(3)
    }
  })

  it.each(Object.entries(SIGHTS))('has lines that differ with %s sight', (_, sight) => {
    for (const [at, a] of palette.lines.entries()) {
      for (const b of palette.lines.slice(at + 1)) {
        // 0.02 is just visible between neighbouring areas; thin lines need several times that.
        expect(distance(a, b, sight), `${a} ${b}`).toBeGreaterThanOrEqual(0.1)
      }
    }
  })

  it('has legible text and thresholds', () => {
    for (const colour of [palette.text, palette.muted, palette.caution, palette.alert]) {
      expect(contrast(colour, palette.surface), colour).toBeGreaterThanOrEqual(4.5)
    }
  })

  it('has a heat map that is ordered by lightness', () => {
    const steps = palette.heat.map((stop) => oklab(parse(stop))[0])
    const sorted = [...steps].sort((a, b) => a - b)
    expect([sorted, [...sorted].reverse()]).toContainEqual(steps)
  })
})
