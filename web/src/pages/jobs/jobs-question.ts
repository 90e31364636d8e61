import type { JobFilterInput, OrderInput } from '@/lib/api/documents'

/** Rows asked for at once. */
export const PAGE_SIZE = 50
/** Rows that are loaded before a list stands; more than a screen of them. */
export const FIRST_ROWS = 30

/** The pages, counted from 0, that hold these rows. */
export function pagesOf(from: number, to: number): number[] {
  const first = Math.floor(Math.max(from, 0) / PAGE_SIZE)
  const last = Math.floor(Math.max(to - 1, from, 0) / PAGE_SIZE)
  return Array.from({ length: last - first + 1 }, (_, at) => first + at)
}

/** Variables of the request for one page of a list. */
export function jobsQuestion(filter: JobFilterInput[], order: OrderInput | null, page: number) {
  return { filter, order, page: { itemsPerPage: PAGE_SIZE, page: page + 1 } }
}
