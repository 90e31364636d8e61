import type uPlot from 'uplot'
import { significant, type Scale } from '@/lib/format/number'
import type { ChartInput } from './chart'

/** Shades the stretch at the end where samples should be and are not. */
export function drawBackground(plot: uPlot, { staleFrom, window, palette }: ChartInput): void {
  if (staleFrom === null || staleFrom >= window[1]) return
  const { ctx, bbox } = plot
  const left = Math.max(plot.valToPos(staleFrom, 'x', true), bbox.left)
  const right = bbox.left + bbox.width
  if (right - left < 1) return
  ctx.save()
  ctx.beginPath()
  ctx.rect(left, bbox.top, right - left, bbox.height)
  ctx.clip()
  ctx.strokeStyle = palette.grid
  ctx.lineWidth = 2 * devicePixelRatio
  const step = 8 * devicePixelRatio
  ctx.beginPath()
  for (let x = left - bbox.height; x < right; x += step) {
    ctx.moveTo(x, bbox.top + bbox.height)
    ctx.lineTo(x + bbox.height, bbox.top)
  }
  ctx.stroke()
  ctx.restore()
  label(
    plot,
    'no samples',
    left + 4 * devicePixelRatio,
    bbox.top + 10 * devicePixelRatio,
    [palette.caution, palette.surface],
    'left',
  )
}

/** Lines at normal, caution and alert, each with its name; the unit above the axis. */
export function drawThresholds(plot: uPlot, input: ChartInput, scale: Scale): void {
  const { thresholds, palette, range, compact } = input
  const { bbox } = plot
  label(
    plot,
    scale.unit,
    bbox.left - 4 * devicePixelRatio,
    bbox.top - 8 * devicePixelRatio,
    [palette.muted, palette.surface],
    'right',
  )
  if (thresholds === null || compact) return
  const marks: [name: string, value: number, colour: string, dash: number[]][] = [
    ['normal', thresholds.normal, palette.normal, [2, 4]],
    ['caution', thresholds.caution, palette.caution, [6, 4]],
    ['alert', thresholds.alert, palette.alert, [2, 2]],
  ]
  let last = Infinity
  for (const [name, value, colour, dash] of marks.sort((a, b) => a[1] - b[1])) {
    if (value <= 0 || value < range[0] || value > range[1]) continue
    const y = plot.valToPos(value, 'y', true)
    line(plot, y, colour, dash)
    // Texts that would lie on each other are left out; the summary names every threshold.
    if (last - y < 11 * devicePixelRatio) continue
    last = y
    const text = `${name} ${significant(value * scale.factor)}`
    label(
      plot,
      text,
      bbox.left + bbox.width - 4 * devicePixelRatio,
      y - 6 * devicePixelRatio,
      [colour, palette.surface],
      'right',
    )
  }
}

function line(plot: uPlot, y: number, colour: string, dash: readonly number[]): void {
  const { ctx, bbox } = plot
  ctx.save()
  ctx.strokeStyle = colour
  ctx.lineWidth = devicePixelRatio
  ctx.setLineDash(dash.map((length) => length * devicePixelRatio))
  ctx.beginPath()
  ctx.moveTo(bbox.left, y)
  ctx.lineTo(bbox.left + bbox.width, y)
  ctx.stroke()
  ctx.restore()
}

function label(
  plot: uPlot,
  text: string,
  x: number,
  y: number,
  [colour, surface]: readonly [string, string],
  align: CanvasTextAlign,
): void {
  const { ctx } = plot
  ctx.save()
  ctx.fillStyle = colour
  ctx.strokeStyle = surface
  ctx.lineWidth = 3 * devicePixelRatio
  ctx.lineJoin = 'round'
  ctx.font = `${10 * devicePixelRatio}px system-ui, sans-serif`
  ctx.textAlign = align
  ctx.textBaseline = 'middle'
  // Legible on top of lines.
  ctx.strokeText(text, x, y)
  ctx.fillText(text, x, y)
  ctx.restore()
}
