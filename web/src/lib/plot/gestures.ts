import type { Attachment } from 'svelte/attachments'

/** What fingers do to a plot. */
export interface GestureTarget {
  /** Second under a horizontal position of the page. */
  toSeconds(x: number): number
  window(): readonly [number, number]
  isZoomed(): boolean
  /** One finger: the cursor follows. */
  move(at: number): void
  /** Two fingers: what is between them. */
  zoom(window: [number, number] | null): void
  /** One finger on a plot that is zoomed: the window follows. */
  pan(by: number): void
}

interface Start {
  window: readonly [number, number]
  x: number[]
}

/**
 * Drag and pinch on a touch screen. The page still scrolls up and down (`touch-action: pan-y`);
 * mouse and pen keep to what the chart does itself.
 */
export function gestures(target: GestureTarget): Attachment<HTMLElement> {
  return (element) => {
    const pointers = new Map<number, number>()
    let start: Start = { window: [0, 0], x: [] }

    const restart = (): void => {
      start = { window: target.window(), x: [...pointers.values()] }
    }
    const onDown = (event: PointerEvent): void => {
      if (event.pointerType !== 'touch') return
      pointers.set(event.pointerId, event.clientX)
      restart()
      target.move(target.toSeconds(event.clientX))
    }
    const onMove = (event: PointerEvent): void => {
      if (!pointers.has(event.pointerId)) return
      pointers.set(event.pointerId, event.clientX)
      const rect = element.getBoundingClientRect()
      if (pointers.size >= 2) target.zoom(pinched(start, [...pointers.values()], rect))
      else if (target.isZoomed()) {
        const [from, to] = target.window()
        const moved = event.clientX - (start.x[0] ?? event.clientX)
        start.x = [event.clientX]
        target.pan((-moved / Math.max(rect.width, 1)) * (to - from))
      } else target.move(target.toSeconds(event.clientX))
    }
    const onUp = (event: PointerEvent): void => {
      pointers.delete(event.pointerId)
      restart()
    }

    element.addEventListener('pointerdown', onDown)
    element.addEventListener('pointermove', onMove)
    element.addEventListener('pointerup', onUp)
    element.addEventListener('pointercancel', onUp)
    return () => {
      element.removeEventListener('pointerdown', onDown)
      element.removeEventListener('pointermove', onMove)
      element.removeEventListener('pointerup', onUp)
      element.removeEventListener('pointercancel', onUp)
    }
  }
}

/** The window in which what was under both fingers at the start is under them now. */
function pinched(start: Start, now: number[], rect: DOMRect): [number, number] | null {
  const [a = 0, b = 0] = start.x
  const [c = 0, d = 0] = now
  if (Math.abs(d - c) < 8 || Math.abs(b - a) < 8) return null
  const [from, to] = start.window
  const factor = Math.abs(b - a) / Math.abs(d - c)
  const share = (x: number): number => (x - rect.left) / Math.max(rect.width, 1)
  const anchor = from + share((a + b) / 2) * (to - from)
  const span = (to - from) * factor
  const middle = share((c + d) / 2)
  return [anchor - middle * span, anchor + (1 - middle) * span]
}
