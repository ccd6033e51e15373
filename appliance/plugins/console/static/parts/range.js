/** The range that a page is about: the usual ones, from-to to the second, and live refresh. */
import { html, Shared, useEffect, useId, useState } from "../base.js"
import { isAway, refreshes } from "../api.js"
import { change, route, useRange } from "../router.js"
import { RANGES, fromLocal, seconds, toLocal, zone, zoneChoice } from "../times.js"

/** Whether the page is asked again by itself. */
export const isLive = new Shared(true)

const LIVE_MS = 15_000

export function RangePicker() {
  const range = useRange()
  route.use()
  const live = isLive.use()
  const [isOpen, setOpen] = useState(false)
  useEffect(() => {
    if (!live || !range.last) return undefined
    const timer = setInterval(() => {
      if (!document.hidden && !isAway.value) refreshes.set(refreshes.value + 1)
    }, LIVE_MS)
    return () => clearInterval(timer)
  }, [live, range.last])
  const choose = (event) => {
    const value = event.target.value
    if (value === "custom") return setOpen(true)
    setOpen(false)
    change({ last: value, from: null, to: null })
  }
  const isUsual = RANGES.some(([value]) => value === range.last)
  return html`<div class="range">
    <label><span class="hidden">Range</span>
      <select value=${range.last ?? "custom"} onChange=${choose}>
        ${RANGES.map(([value, title]) => html`<option key=${value} value=${value}>Last ${title}</option>`)}
        ${range.last && !isUsual ? html`<option value=${range.last}>Last ${range.last}</option>` : null}
        <option value="custom">From – to …</option>
      </select></label>
    ${range.from ? html`<button type="button" onClick=${() => setOpen(!isOpen)} class="shown-range">
      ${toLocal(moment(range.from)).replace("T", " ")} – ${toLocal(moment(range.to)).replace("T", " ")}</button>` : null}
    <button type="button" title="Earlier" aria-label="Earlier" onClick=${() => shift(range, -1)}>‹</button>
    <button type="button" title="Later" aria-label="Later" onClick=${() => shift(range, 1)} disabled=${Boolean(range.last)}>›</button>
    <button type="button" aria-pressed=${live} disabled=${!range.last} title="Ask again every 15 seconds" class="live" onClick=${() => isLive.set(!live)}>Live</button>
    <button type="button" title="Ask again now (r)" aria-label="Ask again now" onClick=${() => refreshes.set(refreshes.value + 1)}>↻</button>
    ${isOpen ? html`<${CustomRange} range=${range} close=${() => setOpen(false)} />` : null}
  </div>`
}

/** @param {string} text ISO 8601 or seconds since 1970 */
function moment(text) {
  return /^[0-9.]+$/.test(text) ? Number(text) * 1000 : Date.parse(text)
}

/** From and to of a range in milliseconds UTC. */
export function limits(range) {
  if (range.from) return [moment(range.from), moment(range.to)]
  const now = Date.now()
  return [now - (seconds(range.last) ?? 3600) * 1000, now]
}

/** @param {number} fromMs @param {number} toMs */
export function setLimits(fromMs, toMs) {
  const text = (ms) => new Date(Math.round(ms / 1000) * 1000).toISOString().replace(".000Z", "Z")
  change({ last: null, from: text(fromMs), to: text(Math.max(toMs, fromMs + 1000)) })
}

function shift(range, direction) {
  const [from, to] = limits(range)
  const step = ((to - from) / 2) * direction
  if (to + step >= Date.now()) return change({ last: `${Math.round((to - from) / 1000)}s`, from: null, to: null })
  return setLimits(from + step, to + step)
}

function CustomRange({ range, close }) {
  const [from, to] = limits(range)
  const [texts, setTexts] = useState([toLocal(from), toLocal(to)])
  const [problem, setProblem] = useState("")
  const id = useId("range")
  const apply = (event) => {
    event.preventDefault()
    const [start, end] = texts.map(fromLocal)
    if (!start || !end) return setProblem("Give both times")
    if (start >= end) return setProblem("The start must be before the end")
    setLimits(start.getTime(), end.getTime())
    return close()
  }
  const field = (index, title) => html`<label>${title}
    <input type="datetime-local" step="1" value=${texts[index]} aria-describedby=${id}
      onInput=${(event) => setTexts(texts.map((text, at) => (at === index ? event.target.value : text)))} /></label>`
  return html`<form class="popover" onSubmit=${apply} onKeyDown=${(event) => event.key === "Escape" && close()}>
    ${field(0, "From")}${field(1, "To")}
    <p id=${id} class=${problem ? "problem" : "note"}>${problem || `Times of ${zone()}`}</p>
    <div class="row"><button class="primary">Show</button><button type="button" onClick=${close}>Cancel</button></div>
  </form>`
}

/** Whose zone times are shown in. */
export function ZonePicker() {
  const choice = zoneChoice.use()
  return html`<label class="zone"><span>Times of</span><select value=${choice} onChange=${(event) => zoneChoice.set(event.target.value)}>
    <option value="browser">this browser</option><option value="box">the appliance</option></select></label>`
}
