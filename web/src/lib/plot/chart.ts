import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { formatElapsedTick, TIME_INCREMENTS } from '@/lib/format/time'
import { scaleFor, significant, type Scale } from '@/lib/format/number'
import type { Unit } from '@/lib/api/documents'
import type { Thresholds } from '@/lib/metrics/thresholds'
import type { Drawn, Role, Window } from './draw-data'
import type { Palette } from './palette'
import { drawBackground, drawThresholds } from './chart-marks'

/** All that decides how a chart looks. */
export interface ChartInput {
  drawn: Drawn
  window: Window
  /** Bounds of the y axis, in the unit of the data. */
  range: readonly [low: number, high: number]
  unit: Unit
  thresholds: Thresholds | null
  /** Second from which on samples are missing at the end; null when none are. */
  staleFrom: number | null
  palette: Palette
  width: number
  height: number
  /** Smaller texts and axes, for rows of a list. */
  compact: boolean
}

export interface ChartEvents {
  /** The mouse is at this second; null: it has left. */
  onCursor(at: number | null): void
  onZoom(from: number, to: number): void
}

/** Room for the y axis, CSS px: the same for all, so that plots below each other line up. */
export const AXIS_WIDTH = 46
const AXIS_HEIGHT = 22
/** Room at the right edge: for the names of thresholds, and for the last label of the time axis. */
export const padRight = (compact: boolean): number => (compact ? 22 : 46)
const PAD_TOP = 16

/** A time plot on a canvas; redraws what changed and keeps the rest. */
export class Chart {
  #plot: uPlot | null = null
  #input: ChartInput
  #scale: Scale
  #shape = ''
  /** True while the cursor is moved by us and not by the mouse. */
  #moving = false

  constructor(
    private readonly host: HTMLElement,
    input: ChartInput,
    private readonly events: ChartEvents,
  ) {
    this.#input = input
    this.#scale = this.#scaleOf(input)
    this.#build()
  }

  update(input: ChartInput): void {
    this.#input = input
    this.#scale = this.#scaleOf(input)
    const plot = this.#plot
    if (plot === null || this.#shape !== shapeOf(input)) return this.#build()
    plot.batch(() => {
      if (plot.width !== input.width || plot.height !== input.height) {
        plot.setSize({ width: input.width, height: input.height })
      }
      plot.setData(toAligned(input.drawn), false)
      plot.setScale('x', { min: input.window[0], max: input.window[1] })
      plot.redraw(true, true)
    })
  }

  /** Shows the cursor at a second; null hides it. */
  moveCursor(at: number | null): void {
    const plot = this.#plot
    if (plot === null) return
    const left = at === null ? -10 : plot.valToPos(at, 'x')
    this.#moving = true
    plot.setCursor({ left: Number.isFinite(left) ? left : -10, top: at === null ? -10 : 0 })
    this.#moving = false
  }

  destroy(): void {
    this.#plot?.destroy()
    this.#plot = null
  }

  #scaleOf(input: ChartInput): Scale {
    return scaleFor(Math.max(Math.abs(input.range[0]), Math.abs(input.range[1])), input.unit)
  }

  #build(): void {
    this.#plot?.destroy()
    this.#shape = shapeOf(this.#input)
    this.#plot = new uPlot(this.#options(), toAligned(this.#input.drawn), this.host)
    this.host.querySelector('canvas')?.setAttribute('aria-hidden', 'true')
  }

  #options(): uPlot.Options {
    const { drawn, palette, width, height, compact } = this.#input
    return {
      width,
      height,
      padding: [PAD_TOP, padRight(compact), 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false, dist: 6 },
        points: { size: 7, width: 1.5 },
        bind: { dblclick: () => () => null },
      },
      scales: {
        x: { time: false, range: () => [...this.#input.window] },
        y: { range: () => [...this.#input.range] },
      },
      axes: [this.#timeAxis(palette, compact), this.#valueAxis(palette, compact)],
      series: [{}, ...drawn.roles.map((role) => toSeries(role, palette))],
      bands: toBands(drawn.roles, palette),
      hooks: {
        drawClear: [(plot) => drawBackground(plot, this.#input)],
        draw: [(plot) => drawThresholds(plot, this.#input, this.#scale)],
        setCursor: [(plot) => this.#onCursor(plot)],
        setSelect: [(plot) => this.#onSelect(plot)],
      },
    }
  }

  #timeAxis(palette: Palette, compact: boolean): uPlot.Axis {
    return {
      ...axisLook(palette, compact),
      size: AXIS_HEIGHT,
      space: compact ? 56 : 64,
      incrs: TIME_INCREMENTS,
      values: (_, splits, __, ___, increment) =>
        splits.map((at) => formatElapsedTick(at, increment)),
    }
  }

  #valueAxis(palette: Palette, compact: boolean): uPlot.Axis {
    return {
      ...axisLook(palette, compact),
      size: AXIS_WIDTH,
      space: compact ? 28 : 34,
      values: (_, splits) => splits.map((value) => significant(value * this.#scale.factor)),
    }
  }

  #onCursor(plot: uPlot): void {
    if (this.#moving) return
    const { idx, left = -1 } = plot.cursor
    this.events.onCursor(
      left < 0 || idx === null || idx === undefined ? null : (plot.data[0][idx] ?? null),
    )
  }

  #onSelect(plot: uPlot): void {
    const { left, width } = plot.select
    if (width < 1) return
    const from = plot.posToVal(left, 'x')
    const to = plot.posToVal(left + width, 'x')
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
    this.events.onZoom(from, to)
  }
}

/** What cannot be changed on a living plot. */
function shapeOf({ drawn, palette, compact }: ChartInput): string {
  return JSON.stringify([drawn.roles, palette.surface, compact])
}

function toAligned(drawn: Drawn): uPlot.AlignedData {
  return [drawn.x, ...drawn.ys]
}

function axisLook(palette: Palette, compact: boolean): Partial<uPlot.Axis> {
  return {
    stroke: palette.muted,
    font: `${compact ? 10 : 11}px system-ui, sans-serif`,
    gap: 4,
    grid: { stroke: palette.grid, width: 1 },
    ticks: { show: false },
  }
}

function toSeries(role: Role, palette: Palette): uPlot.Series {
  const base: uPlot.Series = { points: { show: false }, spanGaps: false }
  if (role.kind === 'min' || role.kind === 'max')
    return { ...base, stroke: 'transparent', width: 0 }
  const colour = palette.lines[role.kind === 'line' ? role.slot % palette.lines.length : 0]
  return {
    ...base,
    stroke: colour ?? palette.text,
    width: role.faint ? 1 : 1.5,
    alpha: role.faint ? 0.25 : 1,
    // A sample between two gaps would otherwise be no line at all.
    points: { show: true, size: 4, filter: lonelySamples },
  }
}

/** Samples without a neighbour. */
function lonelySamples(plot: uPlot, series: number): number[] {
  const data = plot.data[series] ?? []
  const found: number[] = []
  for (let at = 0; at < data.length; at += 1) {
    const alone = (data[at - 1] ?? null) === null && (data[at + 1] ?? null) === null
    if (data[at] !== null && alone) found.push(at)
  }
  return found
}

function toBands(roles: readonly Role[], palette: Palette): uPlot.Band[] {
  const min = roles.findIndex((role) => role.kind === 'min')
  const max = roles.findIndex((role) => role.kind === 'max')
  if (min < 0 || max < 0) return []
  return [{ series: [max + 1, min + 1], fill: palette.band }]
}
