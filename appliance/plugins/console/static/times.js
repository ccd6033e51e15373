/** Times in the browser's zone or the box's, and the range that all pages share. */
import { rememberedText, Shared } from "./base.js"

export const browserZone = Intl.DateTimeFormat().resolvedOptions().timeZone
/** The zone of the appliance; known once somebody is signed in. */
export const boxZone = new Shared("UTC")
/** `browser` or `box`. */
export const zoneChoice = rememberedText("zone", "browser", ["browser", "box"])

export const RANGES = [
  ["15m", "15 minutes"],
  ["1h", "hour"],
  ["6h", "6 hours"],
  ["24h", "24 hours"],
  ["7d", "7 days"],
  ["30d", "30 days"],
  ["90d", "90 days"],
  ["365d", "year"],
]

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

export function zone() {
  return zoneChoice.value === "box" ? sound(boxZone.value) : browserZone
}

/** @param {string} name */
function sound(name) {
  try {
    Intl.DateTimeFormat("en", { timeZone: name })
    return name
  } catch {
    return "UTC"
  }
}

/** Seconds of a length such as `24h`. @param {string} text */
export function seconds(text) {
  const match = /^([0-9]{1,6})([smhdw])$/.exec(text)
  return match ? Number(match[1]) * UNITS[/** @type {keyof typeof UNITS} */ (match[2])] : null
}

/** @param {number | string | Date} moment @param {Intl.DateTimeFormatOptions} options */
function parts(moment, options) {
  const format = new Intl.DateTimeFormat("en-GB", { timeZone: zone(), hourCycle: "h23", ...options })
  return Object.fromEntries(format.formatToParts(new Date(moment)).map((p) => [p.type, p.value]))
}

/** `2026-01-31 08:00:00` in the zone of the console. @param {number | string | Date | null} moment */
export function dateTime(moment) {
  if (moment === null || moment === undefined) return "–"
  const p = parts(moment, {
    year: "numeric", month: "2-digit", day: "2-digit",
    hour: "2-digit", minute: "2-digit", second: "2-digit",
  })
  return `${p.year}-${p.month}-${p.day} ${p.hour}:${p.minute}:${p.second}`
}

/** "3 min ago". @param {number} ms of age */
export function age(ms) {
  const s = Math.round(Math.abs(ms) / 1000)
  const text =
    s < 60 ? `${s} s` : s < 5400 ? `${Math.round(s / 60)} min`
    : s < 129_600 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86_400)} d`
  return ms < -1500 ? `in ${text}` : `${text} ago`
}

/** A length in seconds: "2 d 3 h". @param {number} total */
export function span(total) {
  const units = /** @type {[string, number][]} */ ([["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]])
  const found = []
  let rest = Math.round(total)
  for (const [name, size] of units) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count) found.push(`${count} ${name}`)
  }
  return found.slice(0, 2).join(" ") || "0 s"
}

/**
 * What a field `datetime-local` holds, read in the zone of the console.
 * @param {string} text @returns {Date | null}
 */
export function fromLocal(text) {
  const match = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d))?$/.exec(text)
  if (!match) return null
  const [year, month, day, hour, minute, second] = match.slice(1).map((part) => Number(part ?? 0))
  const wanted = Date.UTC(year, month - 1, day, hour, minute, second || 0)
  let guess = wanted
  for (let round = 0; round < 2; round += 1) {
    const shown = Date.parse(`${dateTime(guess).replace(" ", "T")}Z`)
    guess += wanted - shown
  }
  return new Date(guess)
}

/** What a field `datetime-local` shows. @param {number | Date} moment */
export function toLocal(moment) {
  return dateTime(moment).replace(" ", "T")
}
