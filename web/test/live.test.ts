import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { problemOfGraphQL, problemOfStatus } from '@/lib/api/problem'
import { Batch } from '@/lib/live/batch'

describe('a batch', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())

  it('hands on together what came together, and at most once a second', async () => {
    const handed: string[][] = []
    const batch = new Batch<string>(
      async (keys) => {
        handed.push(keys)
      },
      1000,
      100,
      () => Date.now(),
    )
    batch.add('a')
    batch.add('b')
    batch.add('a')
    await vi.advanceTimersByTimeAsync(150)
    expect(handed).toEqual([['a', 'b']])
    for (let at = 0; at < 20; at += 1) {
      batch.add(`c${at % 2}`)
      await vi.advanceTimersByTimeAsync(50)
    }
    await vi.advanceTimersByTimeAsync(1000)
    expect(handed).toHaveLength(3)
  })

  it('waits for a hand-over that runs, and says nothing once closed', async () => {
    let finish = (): void => undefined
    const handed: string[][] = []
    const batch = new Batch<string>(
      (keys) => {
        handed.push(keys)
        return new Promise((resolve) => (finish = resolve))
      },
      10,
      1,
      () => Date.now(),
    )
    batch.add('a')
    await vi.advanceTimersByTimeAsync(50)
    batch.add('b')
    await vi.advanceTimersByTimeAsync(500)
    expect(handed).toEqual([['a']])
    finish()
    await vi.advanceTimersByTimeAsync(50)
    expect(handed).toEqual([['a'], ['b']])
    batch.close()
    batch.add('c')
    await vi.advanceTimersByTimeAsync(500)
    expect(handed).toHaveLength(2)
  })
})

describe('a problem', () => {
  it.each([
    [{ message: 'sql: no rows in result set' }, 'not-found'],
    [{ message: 'x', extensions: { reason: 'FORBIDDEN', needs: 'support' } }, 'forbidden'],
    [{ message: 'sql: no rows in result set', extensions: { reason: 'FORBIDDEN' } }, 'forbidden'],
    [{ message: 'x', extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }, 'invalid'],
    [{ message: 'x', extensions: { reason: 'UNAVAILABLE' } }, 'unavailable'],
    [{ message: 'SELECT * FROM job: no such column' }, 'internal'],
  ])('of GraphQL: %o is %s', (error, kind) => {
    const found = problemOfGraphQL(error, 'abc')
    expect(found.kind).toBe(kind)
    expect(found.requestId).toBe('abc')
    expect(`${found.message} ${found.advice}`).not.toMatch(/sql|select|column/i)
  })

  it('of GraphQL names the role that is missing', () => {
    const error = { message: 'x', extensions: { reason: 'FORBIDDEN', needs: 'support' } }
    expect(problemOfGraphQL(error, null).needs).toBe('support')
  })

  it.each([
    [401, 'signed-out'],
    [403, 'forbidden'],
    [404, 'not-found'],
    [429, 'unavailable'],
    [503, 'unavailable'],
    [504, 'too-slow'],
    [400, 'invalid'],
    [500, 'internal'],
  ])('of status %d is %s', (status, kind) => {
    expect(problemOfStatus(status, null).kind).toBe(kind)
  })
})
