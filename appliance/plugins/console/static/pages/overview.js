/** The first page: what goes through the network now, in both directions. */
import { html, remembered, useMemo } from "../base.js"
import { useAnswer } from "../api.js"
import { address, go, Link, useRange } from "../router.js"
import { errorText, MEASURES, percent, si } from "../units.js"
import { age } from "../times.js"
import { cells, joined, labelOf } from "../labels.js"
import { coloursOf } from "../colours.js"
import { setLimits } from "../parts/range.js"
import { Figure, Light, Panel, Provenance, Shown } from "../parts/state.js"
import { Bar, Table } from "../parts/table.js"
import { Select } from "../parts/form.js"
import { TimeChart } from "../parts/chart.js"
import { chartOf } from "../series.js"

const stackedBy = remembered("overview.by", "application", ["application", "protocol", "exporter"])
const IN = "direction=ingress"
const OUT = "direction=egress"
const BIT = MEASURES.octets

export default function Overview() {
  return html`<h1 class="hidden">Overview</h1><${Health} /><${Traffic} />
    <div class="grid two">
      <${Tops} title="Top talkers in" by="source" filter=${IN} />
      <${Tops} title="Top talkers out" by="source" filter=${OUT} />
      <${Tops} title="Applications" by="application" />
      <${Tops} title="Protocols" by="protocol" />
      <${Tops} title="Busiest interfaces" by="interface" />
      <${Exporters} />
    </div>`
}

function Health() {
  const health = useAnswer("/api/v1/health")
  const data = health.data
  if (!data) return null
  const tone = data.status === "ok" ? "good" : data.status === "degraded" || data.status === "warning" ? "warn" : "bad"
  if (tone === "good" && data.exporters?.length) return null
  if (!data.exporters?.length) {
    return html`<p class="banner is-calm"><b>No exporter has sent anything yet.</b> <${Link} to=${address("start")}>How to make a router send flows here<//></p>`
  }
  return html`<p class="banner" role="status"><${Light} tone=${tone}>${data.status}<//> ${data.message}</p>`
}

function Traffic() {
  const range = useRange()
  const by = stackedBy.use()
  const ask = (filter) => useAnswer("/api/v1/explore/series", { ...range, by, filter, limit: 7 })
  const incoming = ask(IN)
  const outgoing = ask(OUT)
  const drawn = useMemo(() => both(incoming.data, outgoing.data), [incoming.data, outgoing.data])
  const answer = { ...incoming, data: drawn, error: incoming.error ?? outgoing.error }
  const tools = html`<${Select} title="Stacked by" value=${by} onInput=${(value) => stackedBy.set(value)} isHidden=${true}
    options=${[["application", "by application"], ["protocol", "by protocol"], ["exporter", "by exporter"]]} />`
  return html`<${Panel} title="Traffic" note="ingress above, egress below" tools=${tools} className="traffic">
    <${Shown} answer=${answer} lines=${9} isEmpty=${(data) => !data.lines.length} empty="No traffic in this range">${(data) => html`
      <${TimeChart} ...${data} unit="bit/s" height=${300} onZoom=${setLimits} />
      <ul class="legend">${data.legend.map((item) => html`<li key=${item.label}>
        <button type="button" onClick=${() => item.filter && go(address("explore", { filter: item.filter, by: "conversation" }))} disabled=${!item.filter}>
        <i style=${{ background: item.colour }}></i>${item.label} <b>${item.isEstimate ? "≈ " : ""}${si(item.mean, "bit/s")}</b></button></li>`)}</ul>
      <dl class="figures">
        <${Figure} name="In, mean" value=${si(data.means[0], "bit/s")} />
        <${Figure} name="In, 95th percentile" value=${si(data.percentiles[0], "bit/s")} />
        <${Figure} name="Out, mean" value=${si(data.means[1], "bit/s")} />
        <${Figure} name="Out, 95th percentile" value=${si(data.percentiles[1], "bit/s")} /></dl>
      <${Provenance} answer=${incoming.data} />`}<//><//>`
}

/** One picture of two answers. */
function both(incoming, outgoing) {
  if (!incoming || !outgoing) return null
  const charts = [chartOf(incoming, BIT), chartOf(outgoing, BIT)]
  const startsMs = charts[0].startsMs.length >= charts[1].startsMs.length ? charts[0].startsMs : charts[1].startsMs
  const keys = [...new Set(charts.flatMap((chart) => chart.series.map((one) => one.key)))]
  const colours = new Map(coloursOf(keys).map((colour, index) => [keys[index], colour]))
  const lines = charts.flatMap((chart, side) => chart.series.map((one) => ({
    label: one.label, colour: colours.get(one.key), values: aligned(one.values, chart.startsMs, startsMs), isBelow: side === 1,
  })))
  const legend = keys.map((key) => {
    const found = charts.flatMap((chart) => chart.series.filter((one) => one.key === key))
    return {
      label: found[0].label, colour: colours.get(key), filter: found[0].filter,
      mean: found.reduce((sum, one) => sum + one.mean, 0), isEstimate: found.some((one) => one.isEstimate),
    }
  })
  const means = charts.map((chart) => chart.totalMean)
  return {
    startsMs, lines, legend, means, percentiles: charts.map((chart) => chart.total95),
    summary: `Traffic over time: in ${si(means[0], "bit/s")}, out ${si(means[1], "bit/s")} on average`,
  }
}

function aligned(values, from, to) {
  if (from === to) return values
  const at = new Map(from.map((start, index) => [start, values[index]]))
  return to.map((start) => at.get(start) ?? null)
}

function Tops({ title, by, filter = "" }) {
  const range = useRange()
  const answer = useAnswer("/api/v1/explore/top", { ...range, by, filter, limit: 8 })
  const more = html`<${Link} to=${address("explore", { by, filter })}>all<//>`
  return html`<${Panel} title=${title} tools=${more}><${Shown} answer=${answer} isEmpty=${(data) => !data.rows.length} empty="Nothing in this range">${(data) => {
    const total = data.total.octets || 1
    const length = (Date.parse(data.until) - Date.parse(data.since)) / 1000
    const columns = [
      { key: "name", title: "", className: "grow", show: (row) => html`<${Name} keys=${keysOf(row)} />` },
      { key: "rate", title: "mean", isNumber: true, show: (row) => html`<span title=${errorText(row.octets, row.octets_error)}>${row.octets_error ? "≈ " : ""}${si((row.octets * 8) / length, "bit/s")}</span>` },
      { key: "share", title: "share", isNumber: true, show: (row) => html`<${Bar} share=${row.octets / total}>${percent(row.octets / total)}<//>` },
    ].map((column) => ({ ...column, isFixed: true }))
    return html`<${Table} caption=${title} columns=${columns} rows=${data.rows} keyOf=${(row) => JSON.stringify(keysOf(row))}
      onRow=${(row) => open(by, keysOf(row), filter)} />`
  }}<//><//>`
}

const FIGURES = /^(octets|packets|flows)(_error)?$/

function keysOf(row) {
  return Object.fromEntries(Object.entries(row).filter(([name]) => !FIGURES.test(name)))
}

function Name({ keys }) {
  const found = cells(keys)
  return html`<span class="name" dir="auto">${labelOf(keys)}</span>${found[0]?.note ? html` <span class="note" dir="auto">${found[0].note}</span>` : null}`
}

function open(by, keys, filter) {
  const own = joined(...cells(keys).map((cell) => cell.filter))
  if (keys.source_address || keys.host_address) return go(address(`hosts/${keys.source_address ?? keys.host_address}`))
  return go(address("explore", { filter: joined(filter, own), by: by === "conversation" ? "service" : "conversation" }))
}

function Exporters() {
  const health = useAnswer("/api/v1/health")
  const all = html`<${Link} to=${address("exporters")}>all<//>`
  return html`<${Panel} title="Exporters" tools=${all}><${Shown} answer=${health} isEmpty=${(data) => !data.exporters?.length} empty="None yet">${(data) => {
    const now = Date.now()
    const columns = [
      { key: "address", title: "exporter", className: "grow", show: (row) => html`<span class="name">${row.address}</span>` },
      { key: "state", title: "state", show: (row) => html`<${Light} tone=${toneOf(row, now)}>${stateOf(row, now)}<//>` },
      { key: "lost", title: "lost", isNumber: true, show: (row) => percent(lostShare(row.counts)) },
      { key: "seen", title: "seen", isNumber: true, show: (row) => age(now - row.last_seen * 1000) },
    ].map((column) => ({ ...column, isFixed: true }))
    return html`<${Table} caption="Exporters" columns=${columns} rows=${data.exporters.slice(0, 8)} keyOf=${(row) => row.address}
      onRow=${(row) => go(address(`exporters/${row.address}`))} />`
  }}<//><//>`
}

export function lostShare(counts) {
  const lost = counts.lost ?? 0
  const got = (counts.records ?? 0) + lost
  return got ? lost / got : 0
}

const SILENT_MS = 300_000

export function stateOf(row, nowMs) {
  if (nowMs - row.last_seen * 1000 > SILENT_MS) return "silent"
  if (row.waiting_octets > 0) return "waiting for a template"
  return lostShare(row.counts) > 0.01 ? "losing flows" : "active"
}

export function toneOf(row, nowMs) {
  return { active: "good", silent: "bad" }[stateOf(row, nowMs)] ?? "warn"
}
