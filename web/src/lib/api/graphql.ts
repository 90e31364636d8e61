import type { initGraphQLTada } from 'gql.tada'
import type { introspection } from './graphql-env'

type Api = initGraphQLTada<{
  introspection: introspection
  scalars: {
    ID: number | string
    Time: string
    Any: unknown
    NullableFloat: number | null
    MetricScope: string
    JobState: string
    SchedulerState: string
    MonitoringState: string
  }
}>

/**
 * A GraphQL document whose result and variables are typed from the checked-in schema.graphql.
 *
 * At run time it is only the text that is sent: no parser is shipped. Fragments given as second
 * argument are appended; `@_unmask`, which speaks to the type checker alone, is taken out.
 */
export const graphql = ((source: string, fragments: readonly unknown[] = []) =>
  [source, ...fragments.map(String)].join('\n').replaceAll(' @_unmask', '')) as unknown as Api

export { type ResultOf, type TadaDocumentNode, type VariablesOf } from 'gql.tada'
