export type Tone = 'good' | 'info' | 'bad' | 'warn' | 'quiet'

interface StateLook {
  word: string
  tone: Tone
  icon: string
}

/** Every job state with its word, icon and tone; in the order in which dialogs list them. */
export const JOB_STATES: Readonly<Record<string, StateLook>> = {
  pending: { word: 'Pending', tone: 'quiet', icon: 'hourglass' },
  running: { word: 'Running', tone: 'good', icon: 'play' },
  completed: { word: 'Completed', tone: 'info', icon: 'check' },
  failed: { word: 'Failed', tone: 'bad', icon: 'cross' },
  timeout: { word: 'Timeout', tone: 'warn', icon: 'clock' },
  deadline: { word: 'Deadline', tone: 'warn', icon: 'clock' },
  preempted: { word: 'Preempted', tone: 'quiet', icon: 'skip' },
  suspended: { word: 'Suspended', tone: 'quiet', icon: 'pause' },
  cancelled: { word: 'Cancelled', tone: 'quiet', icon: 'slash' },
  out_of_memory: { word: 'Out of memory', tone: 'bad', icon: 'memory' },
  boot_fail: { word: 'Boot failed', tone: 'bad', icon: 'power' },
  node_fail: { word: 'Node failed', tone: 'bad', icon: 'power' },
}

export const STATE_NAMES: readonly string[] = Object.keys(JOB_STATES)

export function lookOfState(state: string): StateLook {
  return JOB_STATES[state] ?? { word: state, tone: 'quiet', icon: 'dot' }
}

export const SHARED_WORDS: Readonly<Record<string, string>> = {
  none: 'Exclusive',
  multi_user: 'Shared nodes',
  single_user: 'Shared by one user',
}
