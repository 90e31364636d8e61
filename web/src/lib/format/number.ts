/** No-break space between a number and its unit. */
export const NBSP = '\u00a0'

export interface UnitLike {
  base: string
  prefix?: string | null
}

const SI = ['', 'k', 'M', 'G', 'T', 'P', 'E', 'Z'] as const
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei', 'Zi'] as const
const SMALL: Record<string, number> = { m: -1, u: -2, µ: -2, n: -3, p: -4 }

/** Units that take no prefix: a percentage or a temperature is written out. */
const PLAIN = new Set(['%', '°C', 'IPC', 's', 'min', 'h'])

interface Prefix {
  /** 1000 or 1024. */
  step: number
  power: number
}

function parsePrefix(text: string | null | undefined): Prefix {
  const prefix = text ?? ''
  if (prefix.endsWith('i')) {
    const power = BINARY.findIndex((known) => known.toLowerCase() === prefix.toLowerCase())
    return { step: 1024, power: Math.max(power, 0) }
  }
  if (prefix in SMALL) return { step: 1000, power: SMALL[prefix] ?? 0 }
  const power = SI.findIndex((known) => known.toLowerCase() === prefix.toLowerCase())
  return { step: 1000, power: Math.max(power, 0) }
}

function prefixText(step: number, power: number): string {
  if (power < 0) return ['', 'm', 'µ', 'n', 'p'][-power] ?? ''
  return (step === 1024 ? BINARY : SI)[power] ?? ''
}

/**
 * At most `digits` significant digits, never an exponent, no trailing zeros.
 *
 * Digits left of the point are kept as they are only up to that number: 12345 is 12350 with four.
 */
export function significant(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return '–'
  if (value === 0) return '0'
  const rounded = Number(value.toPrecision(digits))
  const magnitude = Math.floor(Math.log10(Math.abs(rounded)))
  const decimals = Math.min(Math.max(digits - 1 - magnitude, 0), 20)
  const text = rounded.toFixed(decimals)
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}

/** One prefix for a whole axis or column: multiply by `factor`, write `unit` once. */
export interface Scale {
  factor: number
  unit: string
}

/** The prefix in which `reference` (in the metric's own unit) reads best. */
export function scaleFor(reference: number, unit: UnitLike): Scale {
  const { step, power } = parsePrefix(unit.prefix)
  const own = prefixText(step, power)
  if (PLAIN.has(unit.base) || !Number.isFinite(reference) || reference === 0) {
    return { factor: 1, unit: joinUnit(own, unit.base) }
  }
  let best = power
  let value = Math.abs(Number(reference.toPrecision(3)))
  const highest = SI.length - 1
  while (value >= step && best < highest) {
    value /= step
    best += 1
  }
  const lowest = Math.min(power, 0)
  while (value < 1 && best > lowest) {
    value *= step
    best -= 1
  }
  return { factor: step ** (power - best), unit: joinUnit(prefixText(step, best), unit.base) }
}

/** Prefix and base as one word; words such as `packets/s` keep a space after the prefix. */
function joinUnit(prefix: string, base: string): string {
  if (base === '' || prefix === '') return prefix + base
  return /^[a-z]{3,}/.test(base) ? `${prefix}${NBSP}${base}` : prefix + base
}

/** `1.24 TF/s`: a value of a metric with the prefix that suits it; `–` where there is none. */
export function formatQuantity(value: number | null | undefined, unit: UnitLike): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–'
  const scale = scaleFor(value, unit)
  const text = significant(value * scale.factor)
  if (scale.unit === '') return text
  return scale.unit.startsWith('%') ? `${text}${NBSP}%` : `${text}${NBSP}${scale.unit}`
}

/** The unit as the metric is configured, e.g. `GB/s`; empty for a plain number. */
export function unitText(unit: UnitLike): string {
  const { step, power } = parsePrefix(unit.prefix)
  return joinUnit(prefixText(step, power), unit.base)
}

const counts = new Intl.NumberFormat('en', { useGrouping: true, maximumFractionDigits: 0 })

/** A count of things, exact, in groups of three: `102 345`. */
export function formatCount(value: number): string {
  return counts.format(value).replaceAll(',', '\u202f')
}

/** `1 job`, `2 345 jobs`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)}${NBSP}${count === 1 ? one : many}`
}

/** A share between 0 and 1 in percent, honest at the ends: a little is never 0 %, nearly all never 100 %. */
export function formatPercent(share: number): string {
  if (!Number.isFinite(share)) return '–'
  const percent = share * 100
  if (percent > 0 && percent < 1) return `<${NBSP}1${NBSP}%`
  if (percent > 99 && percent < 100) return `>${NBSP}99${NBSP}%`
  return `${Math.round(percent)}${NBSP}%`
}

/** By what a value in this unit is multiplied to be in the unit without prefix. */
export function baseFactor(unit: UnitLike): number {
  const { step, power } = parsePrefix(unit.prefix)
  return step ** power
}
