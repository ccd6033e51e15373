/** Numbers for people: SI prefixes, three digits that count, the unit behind a thin space. */

const PREFIXES = ["", "k", "M", "G", "T", "P", "E"]

/**
 * @param {number | null | undefined} value @param {string} [unit] such as `bit/s`
 */
export function si(value, unit = "") {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–"
  const size = Math.abs(value)
  let power = 0
  while (size / 1000 ** power >= 999.5 && power < PREFIXES.length - 1) power += 1
  const scaled = value / 1000 ** power
  const digits = Math.abs(scaled)
  const decimals = digits >= 99.95 || scaled === 0 || (power === 0 && Number.isInteger(value)) ? 0
    : digits >= 9.995 ? 1 : 2
  const suffix = PREFIXES[power] + unit
  const text = scaled.toFixed(decimals)
  return suffix ? `${text}\u202f${suffix}` : text
}

/** @param {number} value of 1 @param {number} [decimals] */
export function percent(value, decimals = 1) {
  if (!Number.isFinite(value)) return "–"
  const share = value * 100
  if (share > 0 && share < 0.1) return "<0.1\u202f%"
  return `${share.toFixed(share >= 99.95 ? 0 : decimals)}\u202f%`
}

/** @param {number | null | undefined} value */
export function whole(value) {
  if (value === null || value === undefined) return "–"
  return Math.round(value).toLocaleString("en").replaceAll(",", "\u202f")
}

/** Sizes on disk and in memory, by powers of 1024. @param {number} octets */
export function binary(octets) {
  const names = ["B", "KiB", "MiB", "GiB", "TiB"]
  let power = 0
  while (octets / 1024 ** power >= 1000 && power < names.length - 1) power += 1
  const scaled = octets / 1024 ** power
  return `${scaled.toFixed(scaled >= 100 || power === 0 ? 0 : 1)}\u202f${names[power]}`
}

/** A measure of the API, as it is shown. */
export const MEASURES = {
  octets: { title: "Bits per second", unit: "bit/s", factor: 8, sumUnit: "B" },
  packets: { title: "Packets per second", unit: "pkt/s", factor: 1, sumUnit: "pkt" },
  flows: { title: "Flows per second", unit: "flow/s", factor: 1, sumUnit: "flows" },
}

const LEAST_SAMPLED_ROWS = 30

/**
 * "±0.8 %" of a figure and its standard error, for 95 in 100; "more than" where it rests on few flows of a sample.
 * @param {number} value @param {number} error @param {number} [sampledRows]
 */
export function errorText(value, error, sampledRows = LEAST_SAMPLED_ROWS) {
  if (!(error > 0 && value > 0)) return ""
  return `${sampledRows < LEAST_SAMPLED_ROWS ? "more than " : ""}±${percent((1.96 * error) / value)}`
}
