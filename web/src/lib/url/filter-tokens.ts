export type Operator = ':' | '=' | '~' | '>=' | '<='

/** One term of a typed filter. */
export interface Token {
  /** Empty for a word that stands alone; that word is then the value. */
  word: string
  operator: Operator | null
  /** Values between commas, unquoted. */
  values: string[]
  /** The term as typed. */
  text: string
}

const OPERATOR = /^([A-Za-z_]\w*)(>=|<=|[:=~])/

/** Splits at blanks and, within a value, at commas; quotes protect both, a backslash protects one sign. */
export function tokens(text: string): Token[] {
  return terms(text).map((term) => {
    const match = OPERATOR.exec(term)
    if (!match) return { word: '', operator: null, values: [unquoteAll(term)], text: term }
    const value = term.slice(match[0].length)
    return {
      word: match[1] ?? '',
      operator: match[2] as Operator,
      values: splitOutsideQuotes(value, /,/).map(unquoteAll),
      text: term,
    }
  })
}

function terms(text: string): string[] {
  return splitOutsideQuotes(text, /\s/).filter((term) => term !== '')
}

function splitOutsideQuotes(text: string, separator: RegExp): string[] {
  const parts: string[] = []
  let part = ''
  let quoted = false
  for (let at = 0; at < text.length; at += 1) {
    const sign = text.charAt(at)
    if (quoted && sign === '\\' && at + 1 < text.length) {
      part += sign + text.charAt(at + 1)
      at += 1
    } else if (!quoted && separator.test(sign)) {
      parts.push(part)
      part = ''
    } else {
      if (sign === '"') quoted = !quoted
      part += sign
    }
  }
  parts.push(part)
  return parts
}

function unquoteAll(text: string): string {
  let out = ''
  let quoted = false
  for (let at = 0; at < text.length; at += 1) {
    const sign = text.charAt(at)
    if (quoted && sign === '\\' && at + 1 < text.length) {
      out += text.charAt(at + 1)
      at += 1
    } else if (sign === '"') quoted = !quoted
    else out += sign
  }
  return out
}

/** A value so that `tokens` reads it back as one; `alone`: it stands without a word before it. */
export function quote(value: string): string {
  if (value !== '' && !/[\s",\\]/.test(value)) return value
  return `"${value.replaceAll(/["\\]/g, (sign) => `\\${sign}`)}"`
}
