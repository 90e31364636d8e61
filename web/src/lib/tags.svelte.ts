import { query } from '@/lib/api/client'
import { TagsDocument, type Tag } from '@/lib/api/documents'

/** The tags the reader may see; loaded when the first part of a page needs them. */
class Tags {
  #tags = $state.raw<readonly Tag[]>([])
  #asked = false

  get all(): readonly Tag[] {
    return this.#tags
  }

  name(id: number): string | null {
    const tag = this.#tags.find((one) => Number(one.id) === id)
    return tag ? `${tag.type}: ${tag.name}` : null
  }

  /** Asks once; without an answer tags are shown by their number. */
  async load(): Promise<void> {
    if (this.#asked) return
    this.#asked = true
    try {
      const { tags } = await query(TagsDocument, {})
      this.#tags = [...tags].sort((a, b) =>
        `${a.type} ${a.name}`.localeCompare(`${b.type} ${b.name}`),
      )
    } catch {
      this.#asked = false
    }
  }
}

export const tags = new Tags()
