import type { Density } from '@/lib/url/job-list-state'

/** How rows are laid out at a width; all rows of a list are equally high. */
export interface Layout {
  kind: 'table' | 'cards' | 'plots'
  /** Jobs side by side. */
  perRow: number
  /** Height of a row, rem. */
  rowHeight: number
  /** Height of one plot, rem; 0 where there are none. */
  plotHeight: number
}

const PLOT = 9.5

/** `width` in rem. */
export function layoutFor(density: Density, width: number, metrics: number): Layout {
  if (density === 'plots') {
    const columns = width <= 56 ? 2 : Math.max(1, Math.floor((width - 17) / 11.5))
    const lines = Math.max(1, Math.ceil(metrics / columns))
    const facts = width <= 56 ? 7.5 : 1
    return {
      kind: 'plots',
      perRow: 1,
      rowHeight: facts + lines * (PLOT + 1) + (lines - 1) * 0.5,
      plotHeight: PLOT,
    }
  }
  if (width <= 56) {
    const lines = metrics > 2 ? 2 : metrics > 0 ? 1 : 0
    return {
      kind: 'cards',
      perRow: width <= 37.5 ? 1 : 2,
      rowHeight: 6.25 + lines * 2.75,
      plotHeight: 0,
    }
  }
  return { kind: 'table', perRow: 1, rowHeight: 2.125, plotHeight: 0 }
}
