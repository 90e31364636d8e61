/** What lines and surfaces are drawn with; `test/palette.test.ts` checks every claim made here. */
export interface Palette {
  surface: string
  text: string
  muted: string
  grid: string
  /**
   * Eight lines, told apart with normal sight and with the three common colour-vision
   * deficiencies, each with a contrast of 3:1 or more to the surface.
   */
  lines: readonly string[]
  band: string
  normal: string
  caution: string
  alert: string
  /** Ends and middle of the heat map, low to high. */
  heat: readonly [low: string, middle: string, high: string]
}

export const LIGHT: Palette = {
  surface: '#ffffff',
  text: '#1b2126',
  muted: '#5a646e',
  grid: '#e7eaed',
  lines: ['#1f6a96', '#d76821', '#342aaf', '#ad215f', '#5e4b0c', '#4490fe', '#b77e9b', '#5c0e59'],
  band: '#1f6a9633',
  normal: '#5a646e',
  caution: '#9a6200',
  alert: '#c22f2f',
  heat: ['#eef4f7', '#4b93b5', '#0f2f52'],
}

export const DARK: Palette = {
  surface: '#15191d',
  text: '#e6eaee',
  muted: '#9aa6b1',
  grid: '#262d34',
  lines: ['#43b6e3', '#f59d4f', '#ee5c77', '#f0de4d', '#7ee9e5', '#257ef8', '#a66714', '#7b63a3'],
  band: '#43b6e333',
  normal: '#9aa6b1',
  caution: '#e0a83e',
  alert: '#f27474',
  heat: ['#1c252d', '#2f86ad', '#d9f3ff'],
}
