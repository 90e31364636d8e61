import { graphql, type ResultOf, type VariablesOf } from './graphql'

/** Asked once per visit: who the reader is and what the clusters can measure. */
export const BootDocument = graphql(`
  query Boot {
    me {
      username
      name
      roles
      projects
    }
    globalMetrics {
      name
      footprint
      unit {
        base
        prefix
      }
      availability {
        cluster
        subClusters
      }
    }
    clusters {
      name
      partitions
      subClusters {
        name
        socketsPerNode
        coresPerSocket
        threadsPerCore
        metricConfig {
          name
          scope
          aggregation
          timestep
          peak
          normal
          caution
          alert
          lowerIsBetter
          unit {
            base
            prefix
          }
        }
      }
    }
  }
`)

/** What a row of the job list shows. */
const JobRowFragment = graphql(`
  fragment JobRow on Job @_unmask {
    id
    jobId
    jobName
    user
    project
    cluster
    subCluster
    partition
    startTime
    duration
    walltime
    numNodes
    numHWThreads
    numAcc
    shared
    arrayJobId
    monitoringStatus
    state
    tags {
      id
      type
      name
      scope
    }
  }
`)

export const JobsDocument = graphql(
  `
    query Jobs($filter: [JobFilter!], $page: PageRequest, $order: OrderByInput) {
      jobs(filter: $filter, page: $page, order: $order) {
        items {
          ...JobRow
        }
        count
        hasNextPage
      }
    }
  `,
  [JobRowFragment],
)

/** Two pages in one request, for a screenful that lies across their border. */
export const JobsTwoPagesDocument = graphql(
  `
    query JobsTwoPages(
      $filter: [JobFilter!]
      $first: PageRequest
      $second: PageRequest
      $order: OrderByInput
    ) {
      first: jobs(filter: $filter, page: $first, order: $order) {
        items {
          ...JobRow
        }
        count
      }
      second: jobs(filter: $filter, page: $second, order: $order) {
        items {
          ...JobRow
        }
      }
    }
  `,
  [JobRowFragment],
)

export const JobCountDocument = graphql(`
  query JobCount($filter: [JobFilter!]) {
    jobs(filter: $filter) {
      count
    }
  }
`)

/** The job with this scheduler id, when there is exactly one. */
export const JobLookupDocument = graphql(`
  query JobLookup($filter: [JobFilter!], $page: PageRequest, $order: OrderByInput) {
    jobs(filter: $filter, page: $page, order: $order) {
      items {
        id
        jobId
        jobName
        user
        cluster
        state
        startTime
      }
      count
    }
  }
`)

export const TagsDocument = graphql(`
  query Tags {
    tags {
      id
      type
      name
      scope
    }
  }
`)

export const JobDocument = graphql(
  `
    query Job($id: ID!) {
      job(id: $id) {
        ...JobRow
        submitTime
        SMT
        requestedMemory
        energy
        resources {
          hostname
          hwthreads
          accelerators
        }
        footprint {
          name
          stat
          value
        }
        energyFootprint {
          hardware
          metric
          value
        }
        metaData
        userData {
          name
          email
        }
      }
    }
  `,
  [JobRowFragment],
)

export const TopologyDocument = graphql(`
  query Topology {
    clusters {
      name
      subClusters {
        name
        processorType
        topology {
          memoryDomain
          accelerators {
            id
            type
            model
          }
        }
      }
    }
  }
`)

export const JobsMetricsDocument = graphql(`
  query JobsMetrics(
    $ids: [ID!]!
    $metrics: [String!]
    $scopes: [MetricScope!]
    $points: Int
    $maxSeries: Int
  ) {
    jobsMetrics(
      ids: $ids
      metrics: $metrics
      scopes: $scopes
      points: $points
      maxSeries: $maxSeries
    ) {
      id
      error
      missing {
        name
        scope
        hostname
        reason
        detail
      }
      metrics {
        name
        scope
        metric {
          timestep
          nativeTimestep
          firstTime
          unit {
            base
            prefix
          }
          series {
            hostname
            id
            data
            statistics {
              avg
              min
              max
            }
          }
          statisticsSeries {
            median
            mean
            min
            max
          }
        }
      }
    }
  }
`)

export type Boot = ResultOf<typeof BootDocument>
export type JobRow = ResultOf<typeof JobRowFragment>
export type JobFacts = NonNullable<ResultOf<typeof JobDocument>['job']>
export type JobFilterInput = NonNullable<VariablesOf<typeof JobsDocument>['filter']>[number]
export type OrderInput = NonNullable<VariablesOf<typeof JobsDocument>['order']>
export type MetricsOfJob = NonNullable<ResultOf<typeof JobsMetricsDocument>['jobsMetrics']>[number]
export type MetricData = MetricsOfJob['metrics'][number]['metric']
export type SeriesData = NonNullable<MetricData['series']>[number]
export type Cluster = Boot['clusters'][number]
export type SubCluster = Cluster['subClusters'][number]
export type MetricConfig = SubCluster['metricConfig'][number]
export type GlobalMetric = Boot['globalMetrics'][number]
export type Unit = MetricConfig['unit']
export type Tag = ResultOf<typeof TagsDocument>['tags'][number]
