import type { JobFacts } from '@/lib/api/documents'
import { formatPercent, formatQuantity } from '@/lib/format/number'
import { formatDuration } from '@/lib/format/time'
import type { Catalog } from '@/lib/metrics/catalog'
import { STATISTIC_WORDS, type Statistic } from '@/lib/metrics/job'
import { thresholdsAt, verdict, type Rating, type Units } from '@/lib/metrics/thresholds'

/** One line of what was asked for against what was used. */
export interface GlanceLine {
  name: string
  /** What was used, with unit. */
  used: string
  /** What it is measured against, with unit. */
  of: string
  /** Between 0 and 1. */
  share: number
  /** Places of caution and alert on the bar, between 0 and 1. */
  marks: { name: string; share: number }[]
  rating: Rating | null
  /** The rating in words, with the threshold that was broken; empty when there is none. */
  words: string
}

/** Wall time and, for each footprint value, where it lies between nothing and peak. */
export function glance(
  job: JobFacts,
  catalog: Catalog,
  units: Units,
  share: number,
  duration: number,
): GlanceLine[] {
  const lines: GlanceLine[] = []
  if (job.walltime > 0 && job.state !== 'pending') {
    lines.push({
      name: 'Wall time',
      used: formatDuration(duration),
      of: `of ${formatDuration(job.walltime)}`,
      share: Math.min(duration / job.walltime, 1),
      marks: [],
      rating: null,
      words: formatPercent(duration / job.walltime),
    })
  }
  for (const value of job.footprint ?? []) {
    if (value) lines.push(...footprintLine(job, value, catalog, units, share))
  }
  return lines
}

function footprintLine(
  job: JobFacts,
  { name, stat, value }: { name: string; stat: string; value: number },
  catalog: Catalog,
  units: Units,
  share: number,
): GlanceLine[] {
  const config = catalog.config(job.cluster, job.subCluster, name)
  if (config === null) return []
  const { unit } = config
  const thresholds = thresholdsAt(config, 'node', units, share)
  const word = STATISTIC_WORDS[stat as Statistic] ?? stat
  const line: GlanceLine = {
    name: `${name}, ${word}`,
    used: formatQuantity(value, unit),
    of: memoryAsked(job, name) ?? '',
    share: 0,
    marks: [],
    rating: null,
    words: '',
  }
  if (thresholds === null) return [line]
  const judged = verdict(value, thresholds)
  const at = (level: number): number => Math.min(Math.max(level / thresholds.peak, 0), 1)
  return [
    {
      ...line,
      of: line.of || `of ${formatQuantity(thresholds.peak, unit)}`,
      share: at(value),
      marks: [
        { name: 'caution', share: at(thresholds.caution) },
        { name: 'alert', share: at(thresholds.alert) },
      ],
      rating: judged.rating,
      words: judged.broken
        ? `${judged.word} (${judged.broken.name} ${formatQuantity(judged.broken.value, unit)})`
        : judged.word,
    },
  ]
}

function memoryAsked(job: JobFacts, name: string): string | null {
  if (name !== 'mem_used' || job.requestedMemory === null || job.requestedMemory <= 0) return null
  const perNode = job.requestedMemory / Math.max(job.numNodes, 1)
  return `per node, ${formatQuantity(perNode, { base: 'B', prefix: 'M' })} asked for`
}
