import { describe, expect, it } from 'vitest'
import type { PlotData } from '@/lib/metrics/plot-data'
import { drawnData, staleFrom, yRange } from '@/lib/plot/draw-data'
import { clampZoom, pan, zoomAround } from '@/lib/plot/group.svelte'
import { spread } from '@/lib/plot/chart-marks'
import { cellValue, heatRows, heatTable } from '@/lib/plot/heat'
import { spark } from '@/lib/plot/spark'

function plot(series: (number | null)[][], over: Partial<PlotData> = {}): PlotData {
  const length = series[0]?.length ?? 0
  return {
    metric: 'm',
    scope: 'node',
    unit: { base: '', prefix: '' },
    timestep: 60,
    nativeTimestep: 60,
    x: Array.from({ length }, (_, at) => at * 60),
    series: series.map((data, at) => ({ host: `n${at}`, id: null, label: `n${at}`, data })),
    band: null,
    statistics: null,
    lastAt: (length - 1) * 60,
    ...over,
  }
}

describe('what is drawn', () => {
  it('is each series where there are few', () => {
    const drawn = drawnData(plot([[1], [2]]), [], [0, 60], 100)
    expect(drawn.roles.map((role) => role.kind)).toEqual(['line', 'line'])
  })

  it('is the band where there are many, with what was picked out as lines in other colours', () => {
    const many = plot(
      Array.from({ length: 20 }, () => [1, 2]),
      { band: { min: [1, 1], median: [1, 2], max: [2, 2] } },
    )
    expect(drawnData(many, [], [0, 60], 100).roles.map((role) => role.kind)).toEqual([
      'min',
      'max',
      'median',
    ])
    const roles = drawnData(many, [7, 3], [0, 60], 100).roles
    expect(roles.filter((role) => role.kind === 'line')).toEqual([
      { kind: 'line', series: 3, slot: 2, faint: false },
      { kind: 'line', series: 7, slot: 1, faint: false },
    ])
    expect(roles.filter((role) => role.kind === 'median')).toEqual([
      { kind: 'median', faint: true },
    ])
  })

  it('is never more than there are pixels, and finer in a smaller window', () => {
    const long = plot([Array.from({ length: 5000 }, (_, at) => at)])
    expect(drawnData(long, [], [0, 300_000], 400).x.length).toBeLessThanOrEqual(400)
    const near = drawnData(long, [], [6000, 12_000], 400)
    expect(near.x[0]).toBe(5940)
    expect(near.x.at(-1)).toBe(12_060)
    expect(near.x).toHaveLength(103)
  })
})

describe('the vertical axis', () => {
  const drawn = drawnData(plot([[20, 40]]), [], [0, 60], 100)
  const thresholds = { peak: 350, normal: 100, caution: 50, alert: 10, lowerIsBetter: false }

  it('starts at zero and reaches the next threshold when that is near', () => {
    expect(yRange(drawn, null, 'zero')).toEqual([0, 40 * 1.06])
    expect(yRange(drawn, thresholds, 'zero')).toEqual([0, 50 * 1.06])
  })

  it('fits the data or reaches the peak when that was chosen', () => {
    expect(yRange(drawn, thresholds, 'fit')).toEqual([19, 41])
    expect(yRange(drawn, thresholds, 'peak')).toEqual([0, 357])
  })

  it('exists without any data', () => {
    expect(yRange(drawnData(plot([[]]), [], [0, 60], 100), null, 'zero')).toEqual([0, 1])
  })
})

describe('an end without samples', () => {
  it('is marked when it is longer than two samples', () => {
    expect(staleFrom(plot([[1, 2]]), 190)).toBeNull()
    expect(staleFrom(plot([[1, 2]]), 400)).toBe(90)
    expect(staleFrom(plot([[null]], { lastAt: null }), 400)).toBeNull()
  })
})

describe('a zoom', () => {
  it('stays inside the job, and is none when it shows all of it', () => {
    expect(clampZoom(-50, 500, 1000)).toEqual([0, 500])
    expect(clampZoom(700, 200, 1000)).toEqual([200, 700])
    expect(clampZoom(-5, 2000, 1000)).toBeNull()
  })

  it('never gets too small to see', () => {
    const [from, to] = clampZoom(500, 500.5, 1000) ?? [0, 0]
    expect(to - from).toBeGreaterThanOrEqual(10)
    expect(clampZoom(0, 1, 5)).toBeNull()
  })

  it('keeps what is under the cursor where it is', () => {
    expect(zoomAround([0, 1000], 250, 0.5, 1000)).toEqual([125, 625])
    expect(zoomAround([125, 625], 250, 2, 1000)).toBeNull()
  })

  it('is moved as a whole', () => {
    expect(pan([100, 200], 50, 1000)).toEqual([150, 250])
    expect(pan([100, 200], -500, 1000)).toEqual([0, 100])
    expect(pan([100, 200], 5000, 1000)).toEqual([900, 1000])
  })
})

describe('a heat map', () => {
  it('has a row for each series as long as there are pixels', () => {
    expect(heatRows(3, 70).edges).toEqual([0, 1, 2, 3])
    expect(heatRows(140, 70).edges).toHaveLength(71)
    expect(heatRows(140, 70).edges.at(-1)).toBe(140)
  })

  it('shows in a shared cell what differs most from the rest', () => {
    const data = [
      [50, 51, null],
      [49, 2, 50],
    ]
    expect(cellValue(data, [0, 2], [0, 3], 50)).toBe(2)
    expect(cellValue(data, [0, 1], [2, 3], 50)).toBeNull()
  })

  it('goes from the first colour to the last', () => {
    const table = heatTable(['#000000', '#808080', '#ffffff'])
    expect(Array.from(table.subarray(0, 3))).toEqual([0, 0, 0])
    expect(Array.from(table.subarray(-3))).toEqual([255, 255, 255])
  })
})

describe('a sparkline', () => {
  it('breaks at gaps and ends where the samples do', () => {
    const { line } = spark(plot([[1, 1, null, 1]]), 1, 600, 200)
    expect(line.match(/M/g)).toHaveLength(2)
    expect(line).toMatch(/^M0\.0 1\.0L10\.0 1\.0M30\.0 1\.0h10\.0$/)
  })

  it('lies on the same scale whatever its own values', () => {
    expect(spark(plot([[5, 5]]), 10, 60, 200).line).toBe('M0.0 12.0L100.0 12.0')
    expect(spark(plot([[50, 50]]), 10, 60, 200).line).toBe('M0.0 1.0L100.0 1.0')
  })
})

describe('names beside the plot', () => {
  it('stay where they wish to be when nothing is in the way', () => {
    expect(spread([20, 60, 90], 10, 0, 100)).toEqual([20, 60, 90])
  })

  it('move apart until none lies on another', () => {
    expect(spread([50, 52, 53], 10, 0, 100)).toEqual([50, 60, 70])
  })

  it('stay inside, also at the ends', () => {
    expect(spread([0, 1], 10, 0, 100)).toEqual([5, 15])
    expect(spread([97, 98, 99], 10, 0, 100)).toEqual([75, 85, 95])
  })
})
