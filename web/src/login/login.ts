// The login page works without this script: it warns of caps lock, and makes the contact a link.
const password = document.getElementById('password')
const hint = document.getElementById('caps')

function show(event: Event): void {
  if (hint && event instanceof KeyboardEvent) hint.hidden = !event.getModifierState('CapsLock')
}

password?.addEventListener('keydown', show)
password?.addEventListener('keyup', show)

/** Where a contact leads: to a mail or to a page; null where it is just words. */
function addressOf(contact: string): string | null {
  if (/^https?:\/\/\S+$/.test(contact)) return contact
  return /^[^\s@]+@[^\s@]+$/.test(contact) ? `mailto:${contact}` : null
}

const words = document.getElementById('contact')
const contact = words?.textContent?.trim() ?? ''
const address = addressOf(contact)
if (words && address !== null) {
  const link = document.createElement('a')
  link.href = address
  link.textContent = contact
  words.replaceChildren(link)
}
