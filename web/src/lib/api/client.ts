import type { TadaDocumentNode } from 'gql.tada'
import { problem, problemOfGraphQL, problemOfStatus, isAbort } from './problem'

interface Answer {
  data?: unknown
  errors?: { message?: unknown; extensions?: unknown }[]
}

/** Random lower-case hexadecimal text of that many bytes. */
function hex(bytes: number): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('')
}

const listeners = new Set<(ended: boolean) => void>()
let ended = false

/** Whether the last request found that nobody is signed in any more. */
export const isSignedOut = (): boolean => ended

/** Calls back when a request finds that the session has ended, and when one succeeds after that. */
export function onSessionEnd(listener: (ended: boolean) => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

function noteSession(isOver: boolean): void {
  if (ended === isOver) return
  ended = isOver
  for (const listener of listeners) listener(isOver)
}

/** Seconds by which the server's clock is ahead of this browser's, as last seen. */
let clockOffset = 0

export function noteServerTime(unixSeconds: number): void {
  clockOffset = unixSeconds - Date.now() / 1000
}

/** Seconds since the epoch by the server's clock. */
export function serverNow(): number {
  return Date.now() / 1000 + clockOffset
}

/** Longest wait for an answer, ms. */
const PATIENCE = 30_000

/**
 * Sends one GraphQL request and gives its data.
 *
 * Each request carries its own W3C `traceparent`; the trace id is what a `Problem` shows. Throws a
 * `Problem`, or the abort error when `signal` fired.
 */
export async function query<Result, Variables>(
  document: TadaDocumentNode<Result, Variables, unknown>,
  variables: Variables,
  signal?: AbortSignal,
): Promise<Result> {
  const early = takeEarly(String(document), variables, signal)
  return (await (early ?? send(String(document), variables, signal))) as Result
}

/** Requests of the first view that were sent before anybody asked, by text and variables. */
const sentEarly = new Map<string, { answer: Promise<unknown>; controller: AbortController }>()
/** After so long, ms, an early answer is no answer to a question asked now. */
const EARLY = 5000

const nameOf = (text: string, variables: unknown): string => text + JSON.stringify(variables)

/**
 * Sends a request before the page that needs it is built. The first `query` with the same document
 * and variables takes its answer instead of asking again.
 */
export function sendEarly<Result, Variables>(
  document: TadaDocumentNode<Result, Variables, unknown>,
  variables: Variables,
): Promise<Result> {
  const name = nameOf(String(document), variables)
  const controller = new AbortController()
  const answer = send(String(document), variables, controller.signal)
  sentEarly.set(name, { answer, controller })
  // Whoever takes it hears of a failure.
  answer.catch(() => undefined)
  setTimeout(() => sentEarly.delete(name), EARLY)
  return answer as Promise<Result>
}

function takeEarly(
  text: string,
  variables: unknown,
  signal: AbortSignal | undefined,
): Promise<unknown> | null {
  if (sentEarly.size === 0) return null
  const name = nameOf(text, variables)
  const early = sentEarly.get(name)
  if (early === undefined) return null
  sentEarly.delete(name)
  signal?.addEventListener('abort', () => early.controller.abort())
  return early.answer
}

/** As `query`, for a document that is put together at run time. */
export async function send(
  text: string,
  variables: unknown,
  signal?: AbortSignal,
): Promise<unknown> {
  const trace = hex(16)
  const operationName = /\bquery\s+(\w+)/.exec(text)?.[1]
  const timeout = AbortSignal.timeout(PATIENCE)
  let response: Response
  try {
    response = await fetch('/query', {
      method: 'POST',
      credentials: 'same-origin',
      headers: {
        'Content-Type': 'application/json',
        Accept: 'application/json',
        traceparent: `00-${trace}-${hex(8)}-01`,
      },
      body: JSON.stringify({ query: text, operationName, variables }),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    })
  } catch (error) {
    if (isAbort(error) && signal?.aborted) throw error
    throw problem(timeout.aborted ? 'too-slow' : 'offline', trace)
  }
  const date = Date.parse(response.headers.get('Date') ?? '')
  if (Number.isFinite(date) && Math.abs(date / 1000 - serverNow()) > 2) noteServerTime(date / 1000)
  return read(response, response.headers.get('X-Request-Id') ?? trace, signal)
}

async function read(response: Response, requestId: string, signal?: AbortSignal): Promise<unknown> {
  if (response.status === 401) {
    noteSession(true)
    throw problem('signed-out', requestId)
  }
  if (response.ok) noteSession(false)
  const isJson = (response.headers.get('Content-Type') ?? '').includes('json')
  if (!isJson) throw problemOfStatus(response.ok ? 500 : response.status, requestId)
  let answer: Answer
  try {
    answer = (await response.json()) as Answer
  } catch (error) {
    if (signal?.aborted) throw error
    throw problem('offline', requestId)
  }
  const first = answer.errors?.[0]
  if (first !== undefined) throw problemOfGraphQL(first, requestId)
  if (!response.ok || answer.data === undefined || answer.data === null) {
    throw problemOfStatus(response.ok ? 500 : response.status, requestId)
  }
  return answer.data
}
