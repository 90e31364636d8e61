import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')

function files(folder: string, ending: RegExp): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && ending.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
}

const read = (path: string): string => readFileSync(path, 'utf8')
const markup = (path: string): string =>
  read(path)
    .replace(/<script[\s\S]*?<\/script>/g, '')
    .replace(/<style[\s\S]*?<\/style>/g, '')

describe('the sources', () => {
  const templates = [
    ...files(join(root, 'src'), /\.svelte$/),
    join(root, 'index.html'),
    join(root, 'login.html'),
  ]

  it.each(templates)('%s has nothing inline that the security policy forbids', (path) => {
    expect(markup(path)).not.toMatch(/\sstyle(=|:[a-z-]+)/)
    expect(markup(path)).not.toMatch(/\son[a-z]+="/)
    expect(markup(path)).not.toContain('javascript:')
  })

  it.each(templates)('%s shows texts of others as text only', (path) => {
    expect(read(path)).not.toContain('{@html')
    expect(read(path)).not.toMatch(/innerHTML|insertAdjacentHTML|document\.write/)
  })

  it('are short enough to be read in one go', () => {
    const all = [
      ...files(join(root, 'src'), /\.(ts|svelte|css|rs)$/),
      ...files(join(root, 'test'), /\.ts$/),
    ]
    const long = all.filter(
      (path) => !path.endsWith('graphql-env.d.ts') && read(path).split('\n').length > 501,
    )
    expect(long).toEqual([])
  })

  it('name exact versions, and no registry', () => {
    const manifest = JSON.parse(read(join(root, 'package.json'))) as {
      devDependencies: Record<string, string>
    }
    for (const version of Object.values(manifest.devDependencies)) {
      expect(version).toMatch(/^\d+\.\d+\.\d+$/)
    }
    expect(read(join(root, 'package-lock.json'))).not.toContain('"resolved"')
  })
})

interface Chunk {
  file: string
  css?: string[]
  imports?: string[]
  dynamicImports?: string[]
  isEntry?: boolean
}

describe('the build', () => {
  const manifestPath = join(root, 'dist/.vite/manifest.json')
  const built = existsSync(manifestPath)

  const manifest = (): Record<string, Chunk> =>
    JSON.parse(read(manifestPath)) as Record<string, Chunk>

  /** A chunk and all that it needs at once. */
  function closure(chunks: Record<string, Chunk>, name: string, seen: Set<string>): Set<string> {
    if (seen.has(name)) return seen
    seen.add(name)
    for (const next of chunks[name]?.imports ?? []) closure(chunks, next, seen)
    return seen
  }

  const packed = (file: string): number => readFileSync(join(root, 'dist', `${file}.br`)).length

  it.runIf(built)('keeps the script of the first view below 120 kB, compressed', () => {
    const chunks = manifest()
    const files = [...closure(chunks, 'index.html', new Set())].map(
      (name) => chunks[name]?.file ?? '',
    )
    const size = files.reduce((sum, file) => sum + packed(file), 0)
    process.stdout.write(`script of the first view: ${(size / 1000).toFixed(1)} kB brotli\n`)
    expect(size).toBeLessThan(120_000)
  })

  it.runIf(built)('keeps each further view below 60 kB, compressed', () => {
    const chunks = manifest()
    const first = closure(chunks, 'index.html', new Set())
    const lazy = Object.values(chunks).flatMap((chunk) => chunk.dynamicImports ?? [])
    expect(lazy.length).toBeGreaterThan(0)
    for (const view of new Set(lazy)) {
      const size = [...closure(chunks, view, new Set(first))]
        .filter((name) => !first.has(name))
        .reduce((sum, name) => sum + packed(chunks[name]?.file ?? ''), 0)
      process.stdout.write(`${view}: ${(size / 1000).toFixed(1)} kB brotli\n`)
      expect(size, view).toBeLessThan(60_000)
    }
  })

  it.runIf(built)('holds no inline script or style, and loads nothing from elsewhere', () => {
    for (const page of ['index.html', 'login.html']) {
      const html = read(join(root, 'dist', page))
      expect(html).not.toMatch(/<style|\sstyle=|<script(?![^>]*\ssrc=)/)
      expect(html).not.toMatch(/(src|href)="(https?:)?\/\//)
    }
  })

  // No test at all where there is a build: a skipped one would count as something that was not checked.
  if (!built) {
    it('is there: run "npm run build" before the tests of its size', ({ skip }) => {
      expect(process.env.CC_NO_SKIP ?? '', 'must not be skipped here').toBe('')
      skip()
    })
  }
})
