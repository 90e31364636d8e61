import type { Snapshot } from './jobs-data.svelte'

/** Lists of the last steps, by the key of their history entry. */
const MAX_LISTS = 5
const kept = new Map<string, Snapshot>()

export const lists = {
  keep(key: string, snapshot: Snapshot): void {
    kept.delete(key)
    kept.set(key, snapshot)
    const [oldest] = kept.keys()
    if (kept.size > MAX_LISTS && oldest !== undefined) kept.delete(oldest)
  },

  find(key: string): Snapshot | null {
    return kept.get(key) ?? null
  },
}
