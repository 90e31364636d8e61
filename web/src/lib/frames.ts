/** The next frame, or a moment later where no frames are drawn (hidden tabs). */
export function nextFrame(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, 60)
    const frame = requestAnimationFrame(done)
    function done(): void {
      clearTimeout(timer)
      cancelAnimationFrame(frame)
      resolve()
    }
  })
}

/**
 * Does something for each item, `perFrame` of them between two frames, so that the page stays
 * quick to the touch; ends early when `goOn` says so.
 */
export async function inSlices<Item>(
  items: readonly Item[],
  perFrame: number,
  act: (item: Item) => void,
  goOn: () => boolean = () => true,
): Promise<void> {
  for (let at = 0; at < items.length; at += perFrame) {
    if (at > 0) await nextFrame()
    if (!goOn()) return
    for (const item of items.slice(at, at + perFrame)) act(item)
  }
}

/** Does something when the page has been at rest for a while after its first view; in Safari, which cannot tell, a moment later. */
export function requestIdle(act: () => void): void {
  setTimeout(() => {
    if (typeof window.requestIdleCallback === 'function') window.requestIdleCallback(act)
    else act()
  }, 1500)
}
