import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig, type Plugin } from 'vite'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/**
 * The chosen theme must be set before the first paint, and the content security policy allows no
 * inline script: a tiny classic script, with the hash of its content in its name, is loaded before
 * anything else.
 */
function themeScript(): Plugin {
  const source = readFileSync(here('./src/theme-first.js'), 'utf8')
  const hash = createHash('sha256').update(source).digest('hex').slice(0, 8)
  const fileName = `assets/theme-${hash}.js`
  return {
    name: 'theme-first',
    apply: 'build',
    generateBundle() {
      this.emitFile({ type: 'asset', fileName, source: source.replace(/^\s*\/\/.*\n/gm, '') })
    },
    transformIndexHtml: {
      order: 'post',
      handler: () => [
        { tag: 'script', attrs: { src: `/${fileName}` }, injectTo: 'head-prepend' as const },
      ],
    },
  }
}

export default defineConfig({
  plugins: [svelte(), themeScript()],
  resolve: { alias: { '@': here('./src') } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    manifest: true,
    rolldownOptions: {
      input: { index: here('./index.html'), login: here('./login.html') },
    },
  },
  server: {
    proxy: Object.fromEntries(
      ['/query', '/events', '/login', '/logout'].map((path) => [
        path,
        process.env.CC_BACKEND ?? 'http://localhost:8080',
      ]),
    ),
  },
})
