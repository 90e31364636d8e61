import { NBSP } from './number'

const pad = (value: number): string => String(value).padStart(2, '0')

/** `12 s`, `5 min 12 s`, `2 h 05 min`, `3 d 04 h`: two units, the second with leading zero. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–'
  const sign = seconds < 0 ? '−' : ''
  const total = Math.round(Math.abs(seconds))
  const days = Math.floor(total / 86_400)
  const hours = Math.floor((total % 86_400) / 3600)
  const minutes = Math.floor((total % 3600) / 60)
  const rest = total % 60
  const words = (a: number, unitA: string, b: number, unitB: string): string =>
    `${sign}${a}${NBSP}${unitA} ${pad(b)}${NBSP}${unitB}`
  if (days > 0) return words(days, 'd', hours, 'h')
  if (hours > 0) return words(hours, 'h', minutes, 'min')
  if (minutes > 0 && total < 600 && rest > 0) return words(minutes, 'min', rest, 's')
  if (minutes > 0) return `${sign}${minutes}${NBSP}min`
  return `${sign}${rest}${NBSP}s`
}

/** Text that `parseDuration` reads back to the same number of seconds: `1d2h`, `90s`, `0s`. */
export function durationText(seconds: number): string {
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor((seconds % 86_400) / 3600), 'h'],
    [Math.floor((seconds % 3600) / 60), 'm'],
    [seconds % 60, 's'],
  ]
  const text = parts
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value}${unit}`)
    .join('')
  return text === '' ? '0s' : text
}

const UNITS: Record<string, number> = { d: 86_400, h: 3600, m: 60, min: 60, s: 1 }

/** Seconds of `2h`, `1d 12h`, `90 min`, `1:30` (hours and minutes) or plain seconds; else null. */
export function parseDuration(text: string): number | null {
  const trimmed = text.trim().toLowerCase()
  if (/^\d+$/.test(trimmed)) return Number(trimmed)
  const clock = /^(\d+):([0-5]\d)(?::([0-5]\d))?$/.exec(trimmed)
  if (clock) return Number(clock[1]) * 3600 + Number(clock[2]) * 60 + Number(clock[3] ?? 0)
  if (!/^(\d+(\.\d+)?\s*(d|h|min|m|s)\s*)+$/.test(trimmed)) return null
  let seconds = 0
  for (const [, value, , unit] of trimmed.matchAll(/(\d+(\.\d+)?)\s*(d|h|min|m|s)/g)) {
    seconds += Number(value) * (UNITS[unit ?? ''] ?? 0)
  }
  return Math.round(seconds)
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')

/** `2026-03-01 10:00:12` in the reader's time zone. */
export function formatInstant(date: Date, withSeconds = true): string {
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`
  return `${day} ${pad(date.getHours())}:${pad(date.getMinutes())}${withSeconds ? `:${pad(date.getSeconds())}` : ''}`
}

/** `12:03:07`. */
export function formatClock(date: Date, withSeconds = true): string {
  return `${pad(date.getHours())}:${pad(date.getMinutes())}${withSeconds ? `:${pad(date.getSeconds())}` : ''}`
}

/** For a column: `10:00` today, `1 Mar 10:00` this year, `1 Mar 2025` before. */
export function formatShortInstant(date: Date, now: Date): string {
  const time = formatClock(date, false)
  if (date.toDateString() === now.toDateString()) return time
  const day = `${date.getDate()}${NBSP}${MONTHS[date.getMonth()] ?? ''}`
  const age = now.getTime() - date.getTime()
  return date.getFullYear() === now.getFullYear() || Math.abs(age) < 180 * 86_400_000
    ? `${day} ${time}`
    : `${day} ${date.getFullYear()}`
}

/** The reader's time zone, to be written beside a time. */
export function timeZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone
}

/** Tick of an axis that counts seconds since the start. */
export function formatElapsedTick(seconds: number, increment: number): string {
  const sign = seconds < 0 ? '−' : ''
  const total = Math.abs(Math.round(seconds))
  if (total === 0) return '0'
  if (increment >= 86_400) return `${sign}${Math.round(total / 86_400)}${NBSP}d`
  const hours = Math.floor(total / 3600)
  const minutes = Math.floor((total % 3600) / 60)
  if (increment < 60) {
    return hours > 0
      ? `${sign}${hours}:${pad(minutes)}:${pad(total % 60)}`
      : `${sign}${minutes}:${pad(total % 60)}`
  }
  if (hours === 0) return `${sign}${minutes}${NBSP}min`
  return minutes === 0 ? `${sign}${hours}${NBSP}h` : `${sign}${hours}:${pad(minutes)}${NBSP}h`
}

/** Increments (s) at which an axis may have its ticks. */
export const TIME_INCREMENTS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200,
  86_400, 172_800, 432_000, 864_000,
]
