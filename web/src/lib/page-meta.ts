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
  /** And as what; empty where the server does not say. */
  roles: meta('roles')
    .split(' ')
    .filter((role) => role !== ''),
  /** What the page asks for is at least as new as this; the events after it tell the rest. */
  position: meta('position'),
  /** What the administrators of the site have to tell; plain text, empty without it. */
  notice: meta('notice'),
}

let titled = false

/** `Jobs - Name of the site`. A change tells those who do not see it that another page is here. */
export function setTitle(page: string): void {
  const title = `${page} - ${pageMeta.siteName}`
  if (titled && document.title !== title) announcer.say(page)
  titled = true
  document.title = title
}
