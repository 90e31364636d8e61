// The login page works without this script: it only warns of caps lock.
const password = document.getElementById('password')
const hint = document.getElementById('caps')

function show(event: Event): void {
  if (hint && event instanceof KeyboardEvent) hint.hidden = !event.getModifierState('CapsLock')
}

password?.addEventListener('keydown', show)
password?.addEventListener('keyup', show)
