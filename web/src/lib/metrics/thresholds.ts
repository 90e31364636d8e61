import type { MetricConfig } from '@/lib/api/documents'

/** Thresholds as they apply to one scope and one job. */
export interface Thresholds {
  peak: number
  normal: number
  caution: number
  alert: number
  lowerIsBetter: boolean
}

/** How many units of each scope one node has. */
export type Units = Partial<Record<string, number>>

/**
 * The thresholds of a metric at a scope; null where none can be stated.
 *
 * The configuration states them per node. A `sum` metric is divided by the number of units of a
 * finer scope; an `avg` metric reads the same at each scope; without aggregation they hold for the
 * node alone. `share` is the part of the node the job has, 1 when it has all of it.
 */
export function thresholdsAt(
  config: MetricConfig,
  scope: string,
  units: Units,
  share = 1,
): Thresholds | null {
  const factor = factorAt(config, scope, units, share)
  if (factor === null || config.peak <= 0) return null
  const { peak, caution, alert } = config
  return {
    peak: peak * factor,
    normal: (config.normal ?? 0) * factor,
    caution: caution * factor,
    alert: alert * factor,
    // Some cluster files leave the direction out and say it by the order of the values.
    lowerIsBetter: (config.lowerIsBetter ?? false) || alert > caution,
  }
}

function factorAt(config: MetricConfig, scope: string, units: Units, share: number): number | null {
  if (config.aggregation === 'avg') return 1
  if (scope === 'node') return config.aggregation === 'sum' && config.scope !== 'node' ? share : 1
  if (config.aggregation !== 'sum') return null
  return 1 / Math.max(units[scope] ?? 1, 1)
}

export type Rating = 'alert' | 'caution' | 'normal' | 'peak' | 'beyond'

/** Where a value lies, tested in the order alert, caution, normal, peak. */
export function rate(value: number, thresholds: Thresholds): Rating {
  const { peak, normal, caution, alert, lowerIsBetter } = thresholds
  if (value < 0 || value > peak) return 'beyond'
  if (lowerIsBetter) {
    if (value >= alert) return 'alert'
    return value >= caution ? 'caution' : 'normal'
  }
  if (value <= alert) return 'alert'
  if (value <= caution) return 'caution'
  return value <= normal ? 'normal' : 'peak'
}

export interface Verdict {
  rating: Rating
  /** One word that stands for the colour. */
  word: string
  /** The threshold that was broken, by name and value; null when none was. */
  broken: { name: 'caution' | 'alert' | 'peak'; value: number } | null
}

/** A rating in words, with the threshold that decided it. */
export function verdict(value: number, thresholds: Thresholds): Verdict {
  const rating = rate(value, thresholds)
  const { lowerIsBetter, peak, caution, alert } = thresholds
  switch (rating) {
    case 'alert':
      return {
        rating,
        word: lowerIsBetter ? 'very high' : 'very low',
        broken: { name: 'alert', value: alert },
      }
    case 'caution':
      return {
        rating,
        word: lowerIsBetter ? 'high' : 'low',
        broken: { name: 'caution', value: caution },
      }
    case 'beyond':
      return {
        rating,
        word: value < 0 ? 'negative' : 'too high',
        broken: { name: 'peak', value: peak },
      }
    default:
      return { rating, word: rating === 'peak' ? 'very good' : 'normal', broken: null }
  }
}

/** The share of samples that are worse than caution; null without any sample. */
export function shareWorse(
  data: readonly (readonly (number | null)[])[],
  thresholds: Thresholds,
): number | null {
  let all = 0
  let worse = 0
  for (const series of data) {
    for (const value of series) {
      if (value === null) continue
      all += 1
      const rating = rate(value, thresholds)
      if (rating === 'alert' || rating === 'caution') worse += 1
    }
  }
  return all === 0 ? null : worse / all
}
