/** Any question: filter, dimensions, measure, over time; the answer as a chart and a table. */
import { html, useMemo, useState } from "../base.js"
import { ApiError, useAnswer, withQuery } from "../api.js"
import { change, route, useRange } from "../router.js"
import { errorText, MEASURES, percent, si, whole } from "../units.js"
import { cells, dimensionsWith, dimensionTitle, joinFilters, keysOf, labelOf } from "../labels.js"
import { coloursOf } from "../colours.js"
import { chartOf } from "../series.js"
import { FilterBox } from "../parts/filter.js"
import { limits, setLimits } from "../parts/range.js"
import { Panel, Provenance, Shown } from "../parts/state.js"
import { Bar, Table } from "../parts/table.js"
import { Select } from "../parts/form.js"
import { UntilFirstExporter } from "../parts/health.js"
import { TimeChart } from "../parts/chart.js"
import { Sankey } from "../parts/sankey.js"
import { Flows } from "./explore/flows.js"
import { Views } from "./explore/views.js"

const GRAPHS = [["stacked", "Stacked"], ["lines", "Lines"], ["bars", "Bars"], ["sankey", "Sankey"]]
const LIMITS = ["5", "10", "20", "50"].map((text) => /** @type {[string, string]} */ ([text, `top ${text}`]))
const STEPS = /** @type {[string, string][]} */ ([["", "step by itself"], ...["1m", "5m", "15m", "1h", "6h", "1d"].map((text) => [text, `step ${text}`])])
const RULES = /** @type {[string, string][]} */ ([["", "as often as seen"], ["nearest", "each flow once"], ["ingress", "at ingress only"]])

/** What the address asks. */
function useQuestion() {
  const { params } = route.use()
  const range = useRange()
  const get = (name, fallback) => params.get(name) ?? fallback
  const measure = get("measure", "octets")
  return {
    range,
    by: get("by", "application"),
    filter: get("filter", ""),
    measure: measure in MEASURES ? measure : "octets",
    limit: LIMITS.some(([text]) => text === params.get("limit")) ? params.get("limit") : "10",
    step: get("step", ""),
    dedupe: RULES.some(([rule]) => rule === params.get("dedupe")) ? params.get("dedupe") : "",
    graph: GRAPHS.some(([name]) => name === params.get("graph")) ? params.get("graph") : "stacked",
    isMirrored: params.has("mirrored"),
    hasPrevious: params.has("previous"),
    isExact: params.has("exact"),
    showsFlows: params.has("flows"),
  }
}

export default function Explore() {
  const question = useQuestion()
  const { range, by, filter, measure, limit, step, dedupe } = question
  const asked = { ...range, by, filter, order: measure, limit, step, dedupe, exact: question.isExact ? "true" : "" }
  const dimensions = by.split(",").filter(Boolean)
  const isSankey = question.graph === "sankey" && dimensions.length > 1
  const isMirrored = question.isMirrored && !isSankey
  const towards = (side) => ({ ...asked, filter: joinFilters(filter, side) })
  const series = useAnswer("/api/v1/explore/series", isMirrored ? towards("direction=ingress") : asked)
  const opposite = useAnswer(isMirrored ? "/api/v1/explore/series" : null, { ...towards("direction=egress"), exact: "" })
  const before = useAnswer(question.hasPrevious && !isSankey ? "/api/v1/explore/series" : null, { ...previous(range), filter, step, dedupe, by: "", limit: 1 })
  const problem = series.error instanceof ApiError && series.error.status === 400 ? series.error.message : ""
  return html`<h1 class="hidden">Explore</h1><${UntilFirstExporter} />
    <section class="panel" aria-label="Question">
      <${FilterBox} value=${filter} onApply=${(text) => change({ filter: text, exact: null })} problem=${problem} />
      <div class="asked">
        <${Dimensions} chosen=${dimensions} />
        <${Select} title="Measure" isHidden=${true} value=${measure} onInput=${(value) => change({ measure: value })}
          options=${Object.entries(MEASURES).map(([name, { title }]) => [name, title])} />
        <${Select} title="Groups" isHidden=${true} value=${limit} options=${LIMITS} onInput=${(value) => change({ limit: value })} />
        <${Select} title="Step" isHidden=${true} value=${step} options=${STEPS} onInput=${(value) => change({ step: value })} />
        <${Select} title="Count flows" isHidden=${true} value=${dedupe} options=${RULES} onInput=${(value) => change({ dedupe: value, exact: null })} />
        <${Views} />
      </div>
    </section>
    <${Panel} title=${titleOf(dimensions, measure)} tools=${html`<${Graphs} question=${question} dimensions=${dimensions} />`}>
      ${isSankey ? html`<${SankeyOf} asked=${asked} measure=${measure} />`
        : html`<${Drawn} series=${series} opposite=${opposite} before=${before} question=${question} isMirrored=${isMirrored} />`}
    <//>
    <${Behind} question=${question} />`
}

function titleOf(dimensions, measure) {
  const names = dimensions.map((name) => dimensionTitle(name).toLowerCase())
  return `${MEASURES[measure].title}${names.length ? ` by ${names.join(", ")}` : ""}`
}

const MOST_DIMENSIONS = 3

/** @param {{chosen: string[]}} props */
function Dimensions({ chosen }) {
  const set = (index, value) => {
    const next = chosen.slice()
    if (value) next[index] = value
    else next.splice(index, 1)
    change({ by: [...new Set(next)].join(","), exact: null }, {})
    if (!next.length) change({ by: " " })
  }
  const known = dimensionsWith(useAnswer("/api/v1/names").data)
  const places = [...chosen, ...(chosen.length < MOST_DIMENSIONS ? [""] : [])]
  return places.map((value, index) => {
    const isKnown = known.some(([name]) => name === value)
    const options = [["", index ? "and by …" : "everything together"], ...known, ...(value.trim() && !isKnown ? [[value, value]] : [])]
    return html`<${Select} key=${index} title=${`Dimension ${index + 1}`} isHidden=${true} value=${value.trim()} options=${options} onInput=${(name) => set(index, name)} />`
  })
}

function Graphs({ question, dimensions }) {
  const toggle = (name, isOn) => change({ [name]: isOn ? null : "1" })
  return html`<span class="segments" role="group" aria-label="Graph">${GRAPHS.map(([name, title]) => html`<button type="button" key=${name}
      aria-pressed=${question.graph === name} disabled=${name === "sankey" && dimensions.length < 2}
      title=${name === "sankey" ? "With two or three dimensions" : undefined} onClick=${() => change({ graph: name })}>${title}</button>`)}</span>
    <button type="button" aria-pressed=${question.isMirrored} title="Ingress above, egress below" onClick=${() => toggle("mirrored", question.isMirrored)}>Both directions</button>
    <button type="button" aria-pressed=${question.hasPrevious} title="The sum of the period before, dashed" onClick=${() => toggle("previous", question.hasPrevious)}>Previous</button>`
}

const MINUTE_MS = 60_000

/** The period of the same length before; to the minute, for it is asked again when it changes. */
function previous(range) {
  const [from, to] = limits(range).map((ms) => (range.last ? Math.floor(ms / MINUTE_MS) * MINUTE_MS : ms))
  const iso = (ms) => new Date(Math.round(ms / 1000) * 1000).toISOString()
  return { from: iso(from - (to - from)), to: iso(from) }
}

function Drawn({ series, opposite, before, question, isMirrored }) {
  const measure = MEASURES[question.measure]
  const data = series.data
  const drawn = useMemo(() => data && pictureOf(data, isMirrored ? opposite.data : null, before.data, measure), [data, opposite.data, before.data, measure, isMirrored])
  const failure = series.error?.status === 400 ? null : series.error
  return html`<${Shown} answer=${{ ...series, data: drawn, error: failure }} lines=${9} isEmpty=${(found) => !found.rows.length}
      onCancel=${() => change({ exact: null })} empty="No flows fit in this range. Another range, or a wider filter?">${(found) => html`
    <${TimeChart} startsMs=${found.startsMs} lines=${found.lines} unit=${measure.unit} kind=${question.graph} height=${320} onZoom=${setLimits} summary=${found.summary} />
    <${Statistics} found=${found} measure=${measure} question=${question} />
    <div class="row below"><${Provenance} answer=${data} onExact=${() => change({ exact: "1" })} /></div>`}<//>`
}

function pictureOf(data, opposite, before, measure) {
  const chart = chartOf(data, measure)
  const other = opposite ? chartOf(opposite, measure) : null
  const keys = [...new Set([...chart.series, ...(other?.series ?? [])].map((one) => one.key))]
  const colours = new Map(coloursOf(keys).map((colour, index) => [keys[index], colour]))
  const toLine = (one, isBelow) => ({ label: one.label, colour: colours.get(one.key), values: one.values, isBelow })
  const lines = [...chart.series.map((one) => toLine(one, false)), ...(other?.series ?? []).map((one) => toLine(one, true))]
  if (before) {
    const past = chartOf(before, measure)
    const sums = past.startsMs.map((_, index) => past.series.reduce((sum, one) => sum + one.values[index], 0))
    lines.push({ label: "previous period", colour: "#8d99a6", values: chart.startsMs.map((_, index) => sums[index] ?? null), isBelow: false, isDashed: true })
  }
  const rows = [
    ...chart.series.map((one) => ({ ...one, colour: colours.get(one.key), side: other ? "in" : "" })),
    ...(other?.series ?? []).map((one) => ({ ...one, colour: colours.get(one.key), side: "out" })),
  ]
  return {
    startsMs: chart.startsMs, lines, rows, total: rows.reduce((sum, one) => sum + one.sum, 0), stepMs: chart.stepMs,
    errors: new Map(data.rows.map((row) => [row.is_other ? null : JSON.stringify(row.keys), Math.sqrt((row.errors ?? []).reduce((sum, error) => sum + error * error, 0))])),
    summary: `${chart.series.length} groups over time, ${si(chart.totalMean, measure.unit)} on average, the largest is ${chart.series[0]?.label ?? "none"}`,
  }
}

function Statistics({ found, measure, question }) {
  const { rows, total } = found
  const rate = (name, title) => ({ key: name, title, isNumber: true, show: (row) => si(row[name], measure.unit) })
  const columns = [
    { key: "label", title: "group", className: "grow", show: (row) => html`<i class="swatch" style=${{ background: row.colour }}></i><${Names} row=${row} filter=${question.filter} />` },
    ...(rows.some((row) => row.side) ? [{ key: "side", title: "side" }] : []),
    { key: "sum", title: "share", isNumber: true, show: (row) => html`<${Bar} share=${row.sum / total}>${percent(row.sum / total)}<//>` },
    rate("minimum", "min"), rate("mean", "mean"), rate("percentile95", "95th"), rate("maximum", "max"), rate("last", "last"),
    { key: "total", title: "sum", isNumber: true, value: (row) => row.sum, show: (row) => {
      const error = errorText(row.sum, found.errors.get(row.key) ?? 0)
      return html`${error ? "≈ " : ""}${si(row.sum, measure.sumUnit)}${error ? html` <span class="note">${error}</span>` : null}` } },
  ]
  return html`<${Table} caption="The groups of the chart" columns=${columns} rows=${rows} keyOf=${(row) => `${row.side}${row.key}`} />`
}

/** Each name leads to its flows alone; the small button leaves them out. */
function Names({ row, filter }) {
  if (row.isOther) return html`<span class="note">everything else</span>`
  const found = cells(row.keys)
  if (!found.length) return "all traffic"
  return found.map((cell, index) => html`${index ? html`<span class="note"> – </span>` : null}${cell.filter
    ? html`<button type="button" class="as-link" title=${`Only ${cell.filter}`} dir="auto" onClick=${() => change({ filter: joinFilters(filter, cell.filter) })}>${cell.text}</button>
      <button type="button" class="without" title=${`Without ${cell.filter}`} aria-label=${`Without ${cell.text}`} onClick=${() => change({ filter: joinFilters(filter, `not (${cell.filter})`) })}>−</button>`
    : html`<span dir="auto">${cell.text}</span>`}${cell.note ? html` <span class="note" dir="auto">${cell.note}</span>` : null}`)
}

function SankeyOf({ asked, measure }) {
  const answer = useAnswer("/api/v1/explore/top", { ...asked, step: "", exact: "", limit: Math.max(Number(asked.limit) * 2, 20) })
  return html`<${Shown} answer=${answer} lines=${9} isEmpty=${(data) => !data.rows.length} empty="No flows fit in this range">${(data) => html`
    <${Sankey} rows=${data.rows} measure=${measure} />
    <${Table} caption="The groups of the picture" keyOf=${(_row, index) => index} rows=${data.rows} columns=${[
      { key: "name", title: "group", className: "grow", value: (row) => labelOf(keysOf(row)), show: (row) => labelOf(keysOf(row)) },
      { key: measure, title: "sum", isNumber: true, show: (row) => si(row[measure], MEASURES[measure].sumUnit) },
      { key: "flows", title: "flows", isNumber: true, show: (row) => whole(row.flows) },
    ]} />
    <${Provenance} answer=${data} />`}<//>`
}

const EXPORTS = { csv: "CSV", json: "JSON lines", parquet: "Parquet", ipfix: "IPFIX" }

function Behind({ question }) {
  const [isOpen, setOpen] = useState(question.showsFlows)
  const toggle = () => {
    change({ flows: isOpen ? null : "1" }, { replace: true })
    setOpen(!isOpen)
  }
  const { range, filter } = question
  const file = (format) => withQuery("/api/v1/explore/export", { ...range, filter, format })
  return html`<${Panel} title="Single flows" tools=${html`<span class="export">Export ${Object.entries(EXPORTS).map(([format, title]) => html`<a key=${format} href=${file(format)} download
      aria-label=${`Export the flows of this range as ${title}`}>${title}</a>`)}</span>
    <button type="button" aria-expanded=${isOpen} onClick=${toggle}>${isOpen ? "Hide" : "Show"}</button>`}>
    ${isOpen ? html`<${Flows} range=${question.range} filter=${question.filter} />` : null}<//>`
}
