/** Rows of a heat map: one per series, fewer where there are more series than pixels. */
export interface HeatRows {
  /** Index of the first series of each row; one more at the end. */
  edges: number[]
}

export function heatRows(series: number, pixels: number): HeatRows {
  const rows = Math.max(1, Math.min(series, pixels))
  return { edges: Array.from({ length: rows + 1 }, (_, at) => Math.round((at * series) / rows)) }
}

type Colour = readonly [number, number, number]

function parse(hex: string): Colour {
  const channel = (at: number): number => Number.parseInt(hex.slice(at, at + 2), 16)
  return [channel(1), channel(3), channel(5)]
}

/** A table of 256 colours from low through middle to high. */
export function heatTable(stops: readonly [string, string, string]): Uint8ClampedArray {
  const [low, middle, high] = stops.map(parse) as [Colour, Colour, Colour]
  const table = new Uint8ClampedArray(256 * 3)
  for (let at = 0; at < 256; at += 1) {
    const share = at / 255
    const [from, to] = share < 0.5 ? [low, middle] : [middle, high]
    const within = share < 0.5 ? share * 2 : share * 2 - 1
    for (let channel = 0; channel < 3; channel += 1) {
      const a = from[channel] ?? 0
      const b = to[channel] ?? 0
      table[at * 3 + channel] = a + (b - a) * within
    }
  }
  return table
}

/**
 * The value a cell shows when several samples fall into it: the one farthest from what is typical
 * of all, so that neither a spike nor a drop-out is hidden by its neighbours.
 */
export function cellValue(
  data: readonly (readonly (number | null)[])[],
  rows: readonly [from: number, to: number],
  columns: readonly [from: number, to: number],
  typical: number,
): number | null {
  let chosen: number | null = null
  for (let row = rows[0]; row < rows[1]; row += 1) {
    const series = data[row]
    if (series === undefined) continue
    for (let column = columns[0]; column < columns[1]; column += 1) {
      const value = series[column]
      if (value === null || value === undefined) continue
      if (chosen === null || Math.abs(value - typical) > Math.abs(chosen - typical)) chosen = value
    }
  }
  return chosen
}
