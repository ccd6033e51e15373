/** Traffic over time by uPlot: stacked areas, lines or bars, a mirrored side below zero. */
import uPlot from "uplot"
import { html, rememberedText, useEffect, useRef } from "../base.js"
import { si } from "../units.js"
import { dateTime, zone, zoneChoice } from "../times.js"

/** `auto`, `light` or `dark`. */
export const theme = rememberedText("theme", "auto", ["auto", "light", "dark"])

/**
 * @typedef {object} Line
 * @property {string} label
 * @property {string} colour
 * @property {(number | null)[]} values one a start
 * @property {boolean} [isBelow] drawn below zero
 * @property {boolean} [isDashed] a line of its own, in no stack
 */

/**
 * @param {{startsMs: number[], lines: Line[], unit: string, kind?: string, height?: number,
 *   onZoom?: (fromMs: number, toMs: number) => void, summary: string, limit?: number}} props
 */
export function TimeChart({ startsMs, lines, unit, kind = "stacked", height = 260, onZoom, summary }) {
  const place = useRef(null)
  const zoom = useRef(onZoom)
  zoom.current = onZoom
  const look = theme.use()
  const where = zoneChoice.use()
  useEffect(() => {
    const element = place.current
    if (!element || !startsMs.length) return undefined
    const chart = drawChart(element, { startsMs, lines, unit, kind, height, zoom })
    const observer = new ResizeObserver(() => {
      const width = element.clientWidth
      if (width && Math.abs(width - chart.width) > 1) chart.setSize({ width, height })
    })
    observer.observe(element)
    const dark = matchMedia("(prefers-color-scheme: dark)")
    const again = () => chart.redraw(false)
    dark.addEventListener("change", again)
    return () => {
      observer.disconnect()
      dark.removeEventListener("change", again)
      chart.destroy()
    }
  }, [startsMs, lines, unit, kind, height, look, where])
  return html`<div class="chart" ref=${place} role="img" aria-label=${summary} style=${{ minHeight: `${height}px` }}></div>`
}

/** A colour of the style sheet. @param {string} name */
function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim()
}

function drawChart(element, { startsMs, lines, unit, kind, height, zoom }) {
  const isStacked = kind !== "lines"
  const x = startsMs.map((ms) => ms / 1000)
  const shapes = isStacked ? stacks(lines) : lines.map((line) => ({ line, values: signedValues(line) }))
  const paths = kind === "bars" ? uPlot.paths.bars({ size: [0.9, 60], align: 1 }) : undefined
  const series = shapes.map(({ line }) => ({
    label: line.label,
    stroke: line.colour,
    width: isStacked && !line.isDashed ? 0 : 1.75,
    dash: line.isDashed ? [5, 4] : undefined,
    fill: isStacked && !line.isDashed ? line.colour : undefined,
    fillTo: 0,
    paths: line.isDashed ? undefined : paths,
    points: { show: startsMs.length === 1 },
  }))
  const axis = {
    stroke: () => token("--faint"),
    grid: { stroke: () => token("--grid"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
  }
  const options = {
    width: Math.max(element.clientWidth, 200),
    height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone()),
    legend: { show: false },
    padding: /** @type {[number, number, number, number]} */ ([10, 8, 0, 0]),
    cursor: { drag: { x: Boolean(zoom.current), y: false, setScale: false }, points: { show: !isStacked, size: 6 } },
    scales: { y: { range: (_chart, low, high) => yLimits(low, high) } },
    axes: [
      { ...axis, values: timeTexts, space: 70 },
      { ...axis, size: 74, values: (_chart, ticks) => ticks.map((tick) => tick === 0 ? "0" : si(Math.abs(tick), unit)) },
    ],
    series: [{}, ...series],
    hooks: {
      setSelect: [(chart) => {
        const { left, width } = chart.select
        if (width > 4 && zoom.current) {
          zoom.current(chart.posToVal(left, "x") * 1000, chart.posToVal(left + width, "x") * 1000)
        }
        chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
      }],
    },
    plugins: [tooltip(startsMs, lines, unit)],
  }
  return new uPlot(options, [x, ...shapes.map((shape) => shape.values)], element)
}

/** @type {Intl.DateTimeFormatOptions} */
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }

function timeTexts(_chart, ticks, _axis, _space, step) {
  /** @type {Intl.DateTimeFormatOptions} */
  const options = step >= 86_400 ? { day: "numeric", month: "short" }
    : step < 60 ? { ...CLOCK, second: "2-digit" } : CLOCK
  const format = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone() })
  const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: zone() })
  let before = ""
  return ticks.map((tick) => {
    const moment = new Date(tick * 1000)
    const date = day.format(moment)
    const text = step < 86_400 && before && date !== before ? `${format.format(moment)}\n${date}` : format.format(moment)
    before = date
    return text
  })
}

/** @returns {[number, number]} */
function yLimits(low, high) {
  const top = Math.max(high ?? 0, 0)
  const bottom = Math.min(low ?? 0, 0)
  if (top === 0 && bottom === 0) return [0, 1]
  return [bottom * 1.05, top * 1.05]
}

function signedValues(line) {
  return line.isBelow ? line.values.map((value) => (value === null ? null : -value)) : line.values
}

/** Return what is drawn, the largest sums first, each below zero or above. @param {Line[]} lines */
function stacks(lines) {
  const found = []
  for (const isBelow of [false, true]) {
    const layers = []
    let sums = null
    for (const line of lines.filter((one) => Boolean(one.isBelow) === isBelow && !one.isDashed)) {
      sums = line.values.map((value, index) => (value === null ? null : value + (sums?.[index] ?? 0)))
      layers.push({ line, values: isBelow ? sums.map((value) => (value === null ? null : -value)) : sums })
    }
    found.push(...layers.reverse())
  }
  for (const line of lines.filter((one) => one.isDashed)) found.push({ line, values: signedValues(line) })
  return found
}

const SHOWN_LINES = 12

function tooltip(startsMs, lines, unit) {
  const box = document.createElement("div")
  box.className = "tooltip"
  box.setAttribute("aria-hidden", "true")
  return {
    hooks: {
      init: (chart) => chart.over.append(box),
      setCursor: (chart) => {
        const { idx, left } = chart.cursor
        const isShown = idx !== null && idx !== undefined && left >= 0
        box.classList.toggle("is-shown", isShown)
        if (!isShown) return
        box.replaceChildren(element("time", dateTime(startsMs[idx])), ...rowsOf(lines, idx, unit))
        const isRight = left > chart.over.clientWidth / 2
        box.style.left = isRight ? "auto" : `${left + 14}px`
        box.style.right = isRight ? `${chart.over.clientWidth - left + 14}px` : "auto"
      },
    },
  }
}

function rowsOf(lines, index, unit) {
  const both = lines.some((line) => line.isBelow)
  const found = lines
    .map((line) => ({ line, value: line.values[index] }))
    .filter(({ value }) => value !== null && value !== undefined && value !== 0)
    .sort((one, other) => Number(Boolean(one.line.isBelow)) - Number(Boolean(other.line.isBelow)) || other.value - one.value)
  const rows = found.slice(0, SHOWN_LINES).map(({ line, value }) => {
    const row = element("p", "")
    const mark = element("i", "")
    mark.style.background = line.colour
    const sign = both ? (line.isBelow ? "↓ " : "↑ ") : ""
    row.append(mark, element("span", sign + line.label), element("b", si(value, unit)))
    return row
  })
  if (found.length > SHOWN_LINES) rows.push(element("p", `and ${found.length - SHOWN_LINES} more`))
  if (!both && found.length > 1) {
    const total = element("p", "")
    total.className = "total"
    const sum = found.reduce((all, { line, value }) => all + (line.isDashed ? 0 : value), 0)
    total.append(element("i", ""), element("span", "total"), element("b", si(sum, unit)))
    rows.push(total)
  }
  return rows
}

function element(name, text) {
  const found = document.createElement(name)
  found.textContent = text
  return found
}

/** A small line without axes. @param {{values: number[], label: string, colour?: string}} props */
export function Sparkline({ values, label, colour = "var(--accent)" }) {
  const top = Math.max(...values, 1e-9)
  const step = values.length > 1 ? 100 / (values.length - 1) : 0
  const points = values.map((value, index) => `${(index * step).toFixed(1)},${(22 - (value / top) * 20).toFixed(1)}`)
  return html`<svg class="sparkline" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label=${label}>
    <polyline points=${points.join(" ")} fill="none" stroke=${colour} stroke-width="1.5" vector-effect="non-scaling-stroke" /></svg>`
}
