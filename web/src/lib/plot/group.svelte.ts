/** Plots that belong together: they share the cursor. */
export class PlotGroup {
  #cursor = $state<number | null>(null)

  /** Seconds since the start of the job; null: no cursor. */
  get cursor(): number | null {
    return this.#cursor
  }

  set cursor(at: number | null) {
    this.#cursor = at
  }
}

/** A zoom must show at least this much, seconds. */
const MIN_SPAN = 10

/** A window inside `[0, end]` in whole seconds; null when it is all of it. */
export function clampZoom(from: number, to: number, end: number): [number, number] | null {
  const low = Math.max(0, Math.floor(Math.min(from, to)))
  const high = Math.min(Math.ceil(end), Math.ceil(Math.max(from, to)))
  if (high - low < MIN_SPAN) {
    const middle = Math.min(
      Math.max((low + high) / 2, MIN_SPAN / 2),
      Math.max(end - MIN_SPAN / 2, 0),
    )
    return clampZoom(middle - MIN_SPAN / 2, middle + MIN_SPAN / 2 + 1, Math.max(end, MIN_SPAN + 1))
  }
  return low <= 0 && high >= Math.floor(end) ? null : [low, high]
}

/** Magnifies (`factor` < 1) or shrinks a window around a point of it. */
export function zoomAround(
  window: readonly [number, number],
  around: number,
  factor: number,
  end: number,
): [number, number] | null {
  const [from, to] = window
  return clampZoom(around - (around - from) * factor, around + (to - around) * factor, end)
}

/** Moves a window without changing its width. */
export function pan(
  window: readonly [number, number],
  by: number,
  end: number,
): [number, number] | null {
  const [from, to] = window
  const move = Math.min(Math.max(by, -from), Math.max(end - to, 0))
  return clampZoom(from + move, to + move, end)
}
