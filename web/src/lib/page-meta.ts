import { announcer } from '@/lib/announce.svelte'

/** What the server wrote into the page it served; empty where it said nothing. */
function meta(name: string): string {
  const element = document.querySelector(`meta[name="cc-${name}"]`)
  const content = element?.getAttribute('content') ?? ''
  return content.startsWith('{{') ? '' : content
}

export const pageMeta = {
  /** Name of the site. */
  siteName: meta('site') || 'ClusterCockpit',
  /** Whom to ask. */
  contact: meta('contact'),
  /** HTTP status with which this page was served. */
  status: Number(meta('status') || 200),
  /** Role that is missing when the status is 403. */
  needs: meta('needs'),
  /** Who is signed in. */
  user: meta('user'),
}

let titled = false

/** `Jobs - ClusterCockpit`. A change tells those who do not see it that another page is here. */
export function setTitle(title: string): void {
  if (titled && document.title !== title) announcer.say(title.replace(/ - ClusterCockpit$/, ''))
  titled = true
  document.title = title
}
