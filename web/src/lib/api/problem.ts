/** What went wrong, in kinds a page can act on. */
export type ProblemKind =
  | 'offline'
  | 'signed-out'
  | 'forbidden'
  | 'not-found'
  | 'too-slow'
  | 'unavailable'
  | 'invalid'
  | 'internal'

/**
 * A failed request in the words a reader needs: what happened and what to do. No text of a
 * framework, a database or a query gets in here.
 */
export class Problem extends Error {
  constructor(
    readonly kind: ProblemKind,
    message: string,
    readonly advice: string,
    /** Trace id of the request: what an operator searches the logs for. */
    readonly requestId: string | null = null,
    /** The role that would be needed, where the server named one. */
    readonly needs: string | null = null,
  ) {
    super(message)
    this.name = 'Problem'
  }

  /** Whether trying the same again can help. */
  get retryable(): boolean {
    return this.kind === 'offline' || this.kind === 'too-slow' || this.kind === 'unavailable'
  }
}

const TEXTS: Record<ProblemKind, readonly [message: string, advice: string]> = {
  offline: ['The server cannot be reached.', 'Check the network; the page tries again by itself.'],
  'signed-out': ['Your session has ended.', 'Sign in again; this address is kept.'],
  forbidden: ['You are not allowed to see this.', 'Ask the staff of your site for access.'],
  'not-found': [
    'This does not exist, or you are not allowed to see it.',
    'Check the address or search for it above.',
  ],
  'too-slow': ['The answer took too long.', 'Try again, or narrow the question down.'],
  unavailable: ['A part of the service is not ready.', 'Try again in a moment.'],
  invalid: ['The server did not understand the question.', 'Reset the filters or reload the page.'],
  internal: [
    'The server could not answer this.',
    'Try again; if it happens again, report the request id.',
  ],
}

export function problem(
  kind: ProblemKind,
  requestId: string | null = null,
  needs: string | null = null,
): Problem {
  const [message, advice] = TEXTS[kind]
  return new Problem(kind, message, advice, requestId, needs)
}

const CODES: Record<string, ProblemKind> = {
  UNAUTHENTICATED: 'signed-out',
  FORBIDDEN: 'forbidden',
  PERMISSION_DENIED: 'forbidden',
  NOT_FOUND: 'not-found',
  DEADLINE_EXCEEDED: 'too-slow',
  DEADLINE: 'too-slow',
  UNAVAILABLE: 'unavailable',
  BUSY: 'unavailable',
  LOADING: 'unavailable',
  INVALID: 'invalid',
  INVALID_ARGUMENT: 'invalid',
  BAD_USER_INPUT: 'invalid',
  GRAPHQL_PARSE_FAILED: 'invalid',
  GRAPHQL_VALIDATION_FAILED: 'invalid',
  COMPLEXITY_LIMIT_EXCEEDED: 'invalid',
}

/** Texts of the API that existing clients rely on and that have a plain meaning. */
const MESSAGES: readonly (readonly [text: string, kind: ProblemKind])[] = [
  ['sql: no rows in result set', 'not-found'],
  ['you are not allowed to see this job', 'forbidden'],
  ['user has no or unknown roles', 'forbidden'],
  ['you need to be administrator or support staff for this query', 'forbidden'],
  ['forbidden', 'forbidden'],
]

interface GraphQLErrorShape {
  message?: unknown
  extensions?: unknown
}

/** The kind of one entry of `errors`: its stable code, else its recorded text, else internal. */
export function problemOfGraphQL(error: GraphQLErrorShape, requestId: string | null): Problem {
  const extensions =
    typeof error.extensions === 'object' && error.extensions !== null
      ? (error.extensions as Record<string, unknown>)
      : {}
  const code = String(extensions['reason'] ?? extensions['code'] ?? '').toUpperCase()
  const needs = typeof extensions['needs'] === 'string' ? extensions['needs'] : null
  const byText = MESSAGES.find(([text]) => text === error.message)?.[1]
  return problem(CODES[code] ?? byText ?? 'internal', requestId, needs)
}

/** The kind of an HTTP status that is not a GraphQL answer. */
export function problemOfStatus(status: number, requestId: string | null): Problem {
  if (status === 401) return problem('signed-out', requestId)
  if (status === 403) return problem('forbidden', requestId)
  if (status === 404) return problem('not-found', requestId)
  if (status === 408 || status === 504) return problem('too-slow', requestId)
  if (status === 429 || status === 502 || status === 503) return problem('unavailable', requestId)
  if (status >= 400 && status < 500) return problem('invalid', requestId)
  return problem('internal', requestId)
}

/** A script that is fetched when it is needed did not come. */
export function problemOfScript(): Problem {
  return new Problem(
    'unavailable',
    'Its script did not arrive.',
    'Reload the page: the network may be away, or the site has been updated meanwhile.',
  )
}

/** Anything thrown, as a problem; an abort stays what it is. */
export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : problem('internal')
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError'
}
