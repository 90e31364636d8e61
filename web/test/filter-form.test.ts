import { describe, expect, it } from 'vitest'
import { formErrors, fromForm, toForm } from '@/pages/jobs/filter-form'
import { noFilters } from '@/lib/url/filters'
import { Random, randomFilters } from './random'

/** The form trims texts and splits lists at blanks and commas: only such names survive in it. */
function plainTexts(random: Random) {
  const filters = randomFilters(random, 0.4)
  const word = () => `w${random.int(1, 999)}`
  for (const key of ['jobName', 'cluster', 'subCluster', 'partition'] as const) {
    if (filters[key] !== null) filters[key] = word()
  }
  for (const key of ['user', 'project', 'node', 'jobId'] as const) {
    if (filters[key]) filters[key] = { match: 'eq', values: [key === 'jobId' ? '4711' : word()] }
  }
  if (filters.cluster === null) {
    filters.subCluster = null
    filters.partition = null
  }
  return filters
}

describe('the filter form', () => {
  it('changes nothing when nothing is changed', () => {
    for (let seed = 1; seed <= 1000; seed += 1) {
      const filters = plainTexts(new Random(seed))
      const form = toForm(filters)
      expect(formErrors(form), `seed ${seed}`).toEqual({})
      expect(fromForm(form, filters), `seed ${seed}`).toEqual(filters)
    }
  })

  it('names the field that cannot be read', () => {
    const form = toForm(noFilters())
    form.duration.from = 'soon'
    form.numNodes.to = '4.5'
    form.jobId = '12, x'
    expect(Object.keys(formErrors(form)).sort()).toEqual(['duration', 'jobId', 'numNodes'])
  })
})
