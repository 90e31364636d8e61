import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ListTarget } from '@/pages/jobs/list-live'

/** A stream that a test speaks through. */
class Stream extends EventTarget {
  static opened: Stream[] = []
  closed = false

  constructor(readonly url: string) {
    super()
    Stream.opened.push(this)
  }

  close(): void {
    this.closed = true
  }

  tell(name: string, data: object = {}): void {
    this.dispatchEvent(new MessageEvent(name, { data: JSON.stringify(data) }))
  }
}

const page = Object.assign(new EventTarget(), { visibilityState: 'visible', position: '' })
const browser = new EventTarget()
const stop = { position: 42, kind: 'stopped', id: 5, user: 'ada', state: 'completed' }

/** The stream of a page that was served at this position, seen or in a tab behind others. */
async function liveOf(position: string, visibility = 'visible') {
  page.position = position
  page.visibilityState = visibility
  vi.resetModules()
  const { live } = await import('@/lib/live/events.svelte')
  const heard: string[] = []
  live.listen({
    onJob: (event) => heard.push(`${event.kind} ${event.id}`),
    onResync: () => heard.push('resync'),
  })
  return heard
}

const last = (): Stream => {
  const stream = Stream.opened.at(-1)
  if (stream === undefined) throw new Error('no stream is open')
  return stream
}

beforeEach(() => {
  vi.useFakeTimers()
  Stream.opened = []
  vi.stubGlobal('EventSource', Stream)
  vi.stubGlobal('window', browser)
  vi.stubGlobal(
    'document',
    Object.assign(page, {
      querySelector: (selector: string) =>
        selector.includes('cc-position') ? { getAttribute: () => page.position } : null,
    }),
  )
})

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('the event stream', () => {
  it('goes on where the page was answered: nothing falls between its data and the stream', async () => {
    const heard = await liveOf('41')
    expect(last().url).toBe('/events?after=41')
    last().tell('hello', { position: 41 })
    last().tell('job', stop)
    expect(heard).toEqual(['stopped 5'])
  })

  it('asks again for what is shown where the page does not know its position', async () => {
    const heard = await liveOf('')
    expect(last().url).toBe('/events')
    last().tell('hello', { position: 7 })
    expect(heard).toEqual(['resync'])
    last().tell('hello', { position: 1007 })
    expect(heard).toEqual(['resync'])
  })

  it('misses nothing when its tab is opened behind others and seen later', async () => {
    const heard = await liveOf('41', 'hidden')
    expect(Stream.opened).toEqual([])
    page.visibilityState = 'visible'
    page.dispatchEvent(new Event('visibilitychange'))
    expect(last().url).toBe('/events?after=41')
    last().tell('hello', { position: 41 })
    expect(heard).toEqual([])
  })

  it('keeps its place over a loss before the first word, and asks again after a later one', async () => {
    const heard = await liveOf('41')
    last().dispatchEvent(new Event('error'))
    await vi.advanceTimersByTimeAsync(1000)
    expect(Stream.opened.map((stream) => stream.url)).toEqual([
      '/events?after=41',
      '/events?after=41',
    ])
    last().tell('hello', { position: 41 })
    expect(heard).toEqual([])
    last().dispatchEvent(new Event('error'))
    await vi.advanceTimersByTimeAsync(1000)
    expect(last().url).toBe('/events')
    last().tell('hello', { position: 50 })
    expect(heard).toEqual(['resync'])
  })

  it('asks again when the page comes back from the cache of the browser', async () => {
    const heard = await liveOf('41')
    last().tell('hello', { position: 41 })
    browser.dispatchEvent(new Event('pagehide'))
    expect(last().closed).toBe(true)
    browser.dispatchEvent(new Event('pageshow'))
    last().tell('hello', { position: 60 })
    expect(heard).toEqual(['resync'])
  })

  it('says once that changes were missed when the position is too old', async () => {
    const heard = await liveOf('41')
    last().tell('resync')
    last().tell('hello', { position: 9000 })
    expect(heard).toEqual(['resync'])
  })
})

describe('a list', () => {
  it('asks again for a job whose event overtakes its rows', async () => {
    await liveOf('41')
    const refreshed: string[][] = []
    const target: ListTarget = {
      filters: () => ({ state: [], tags: [], stats: [], duration: null, energy: null }) as never,
      user: () => null,
      isLoaded: () => false,
      isLoading: () => refreshed.length === 0,
      refreshJobs: async (ids) => {
        refreshed.push(ids)
        return true
      },
      refreshRows: async () => undefined,
      refreshSeries: () => undefined,
    }
    const { followJobs } = await import('@/pages/jobs/list-live')
    const end = followJobs(target)
    last().tell('job', stop)
    await vi.advanceTimersByTimeAsync(200)
    expect(refreshed).toEqual([['5']])
    last().tell('job', stop)
    await vi.advanceTimersByTimeAsync(2000)
    expect(refreshed).toEqual([['5']])
    end()
  })
})

describe('the rows of a list', () => {
  it('that are on their way do not undo what is asked for after them', async () => {
    const answers: ((state: string) => void)[] = []
    vi.stubGlobal('fetch', () => {
      const body = new Promise<object>((resolve) =>
        answers.push((state) =>
          resolve({ data: { jobs: { count: 1, items: [{ id: '5', state }] } } }),
        ),
      )
      return body.then((found) => Response.json(found))
    })
    vi.resetModules()
    const { JobsData } = await import('@/pages/jobs/jobs-data.svelte')
    const data = new JobsData()
    data.ask([], { field: 'startTime', order: 'DESC' } as never)
    const rows = data.ensure(0, 1)
    const again = data.refreshJobs(['5'])
    await vi.advanceTimersByTimeAsync(10)
    expect(answers).toHaveLength(1)
    answers[0]?.('running')
    await rows
    await vi.advanceTimersByTimeAsync(10)
    answers[1]?.('completed')
    expect(await again).toBe(true)
    expect(data.row(0)?.state).toBe('completed')
  })

  it('nor does an older answer the job of a page', async () => {
    const answers: ((state: string) => void)[] = []
    vi.stubGlobal('fetch', () => {
      const body = new Promise<object>((resolve) =>
        answers.push((state) => resolve({ data: { job: { id: '5', state } } })),
      )
      return body.then((found) => Response.json(found))
    })
    vi.resetModules()
    const { JobData } = await import('@/pages/job/job-data.svelte')
    const data = new JobData('5')
    const loads = [data.load(), data.load()]
    answers[1]?.('completed')
    await vi.advanceTimersByTimeAsync(10)
    answers[0]?.('running')
    await Promise.all(loads)
    expect(data.job?.state).toBe('completed')
  })
})
