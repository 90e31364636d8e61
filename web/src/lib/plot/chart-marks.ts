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

/** Height of a line of a label, CSS px. */
const TEXT = 11

/**
 * Lines at normal, caution and alert; their names stand beside the plot, where they hide no curve,
 * with the value below where there is room. The unit stands above the axis.
 */
export function drawThresholds(plot: uPlot, input: ChartInput, scale: Scale): void {
  const { thresholds, palette, range, compact } = input
  const { bbox } = plot
  const ratio = devicePixelRatio
  label(
    plot,
    scale.unit,
    bbox.left - 4 * ratio,
    // Clear of a tick at the very top.
    bbox.top - 11 * ratio,
    [palette.muted, palette.surface],
    'right',
  )
  if (thresholds === null || compact) return
  const all: [name: string, value: number, colour: string, dash: number[]][] = [
    ['normal', thresholds.normal, palette.normal, [2, 4]],
    ['caution', thresholds.caution, palette.caution, [6, 4]],
    ['alert', thresholds.alert, palette.alert, [2, 2]],
  ]
  // From the top of the plot downwards.
  const marks = all
    .filter(([, value]) => value > 0 && value >= range[0] && value <= range[1])
    .sort((a, b) => b[1] - a[1])
    .map(([name, value, colour, dash]) => ({
      name,
      value: significant(value * scale.factor),
      colour,
      dash,
      y: plot.valToPos(value, 'y', true),
    }))
  for (const { y, colour, dash } of marks) line(plot, y, colour, dash)
  const roomy = marks.every(
    ({ y }, at) => at === 0 || y - (marks[at - 1]?.y ?? 0) > 2.2 * TEXT * ratio,
  )
  const block = (roomy ? 2 : 1) * TEXT * ratio
  const places = spread(
    marks.map(({ y }) => y),
    block,
    bbox.top - 4 * ratio,
    bbox.top + bbox.height + 4 * ratio,
  )
  const left = bbox.left + bbox.width + 4 * ratio
  for (const [at, { name, value, colour }] of marks.entries()) {
    const y = places[at] ?? 0
    const half = roomy ? (TEXT / 2) * ratio : 0
    label(plot, name, left, y - half, [colour, palette.surface], 'left')
    if (roomy) label(plot, value, left, y + half, [colour, palette.surface], 'left')
  }
}

/**
 * Middles of texts that are each `height` high and wish to stand at `wanted` (ascending): moved as
 * little as needed so that none lies on another and all lie between `low` and `high`.
 */
export function spread(
  wanted: readonly number[],
  height: number,
  low: number,
  high: number,
): number[] {
  const places: number[] = []
  for (const at of wanted) {
    const before = places.at(-1) ?? -Infinity
    places.push(Math.max(at, before + height, low + height / 2))
  }
  let limit = high - height / 2
  for (let at = places.length - 1; at >= 0; at -= 1) {
    places[at] = Math.min(places[at] ?? 0, limit)
    limit = (places[at] ?? 0) - height
  }
  return places
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
