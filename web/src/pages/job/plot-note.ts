import type { JobFacts, MetricConfig } from '@/lib/api/documents'
import { durationOf } from '@/lib/metrics/job'
import type { PlotState } from './job-metrics.svelte'

/** What stands in place of a plot. Only what somebody should look into is a warning. */
export interface PlotNote {
  icon: string
  text: string
  /** What an operator searches the logs for. */
  requestId?: string | null
  warning: boolean
  retry: boolean
}

const NOT_MEASURED = new Set(['NOT_CONFIGURED', 'UNKNOWN_METRIC', 'SCOPE_NOT_AVAILABLE'])

/** Null: there is data, or it is on its way. */
export function plotNote(
  job: JobFacts,
  config: MetricConfig,
  plot: PlotState,
  now: number,
): PlotNote | null {
  if (job.monitoringStatus === 0) return quiet('Monitoring was switched off for this job.')
  if (plot.data?.statistics) return null
  if (plot.problem) {
    const { message, requestId } = plot.problem
    return { ...failed(`${config.name} could not be loaded. ${message}`), requestId }
  }
  if (plot.failure) return failed(plot.failure)
  if (plot.loading) return null
  if (plot.missing !== null && NOT_MEASURED.has(plot.missing)) {
    return quiet(`${config.name} is not measured on ${job.cluster}/${job.subCluster}.`)
  }
  if (plot.missing === 'BROKEN_ENTRY')
    return failed('The archived data of this job cannot be read.')
  if (job.state === 'pending') return quiet('The job has not started.')
  if (job.state === 'running' && durationOf(job, now) < 3 * config.timestep) {
    return quiet(`The first samples come ${config.timestep} s after the start.`)
  }
  if (job.state !== 'running' && job.duration < config.timestep) {
    return quiet(
      `The job was too short: a sample of ${config.name} comes every ${config.timestep} s.`,
    )
  }
  if (job.monitoringStatus === 2) return failed('Archiving this job failed: its samples are lost.')
  return {
    icon: 'warn',
    text: `No samples of ${config.name} arrived from the nodes of this job.`,
    warning: true,
    retry: job.state === 'running',
  }
}

function quiet(text: string): PlotNote {
  return { icon: 'info', text, warning: false, retry: false }
}

function failed(text: string): PlotNote {
  return { icon: 'unplug', text, warning: true, retry: true }
}
