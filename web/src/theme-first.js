// Runs before the first paint, see vite.config.ts. The choice is made in src/lib/theme.svelte.ts.
try {
  var theme = localStorage.getItem('cc.theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch (_) {
  // No storage: the system's theme it is.
}
