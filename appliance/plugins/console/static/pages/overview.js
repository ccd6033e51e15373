/** The first page: what goes through the network now, in both directions. */
import { html, remembered, useMemo } from "../base.js"
import { useAnswer } from "../api.js"
import { address, go, Link, useRange } from "../router.js"
import { percent, si } from "../units.js"
import { age } from "../times.js"
import { setLimits } from "../parts/range.js"
import { Figure, Light, Panel, Provenance, Shown } from "../parts/state.js"
import { Table } from "../parts/table.js"
import { Select } from "../parts/form.js"
import { TimeChart } from "../parts/chart.js"
import { lostPercent, StateLight } from "../parts/exporter.js"
import { pictureOfBoth } from "../series.js"
import { toneOfStatus, useHealth } from "../parts/health.js"
import { Tops } from "../parts/tops.js"

const stackedBy = remembered("overview.by", "application", ["application", "protocol", "exporter"])
const IN = "direction=ingress"
const OUT = "direction=egress"

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
  const data = useHealth().data
  if (!data) return null
  if (data.status === "ok" && !data.exporters?.length) {
    return html`<p class="banner is-calm"><b>No exporter has sent anything yet.</b> <${Link} to=${address("start")}>How to make a router send flows here<//></p>`
  }
  if (data.status === "ok") return null
  return html`<p class="banner" role="status"><${Light} tone=${toneOfStatus(data.status)}>${data.status}<//> ${data.message}</p>`
}

function Traffic() {
  const range = useRange()
  const by = stackedBy.use()
  const ask = (filter) => useAnswer("/api/v1/explore/series", { ...range, by, filter, limit: 7 })
  const incoming = ask(IN)
  const outgoing = ask(OUT)
  const drawn = useMemo(() => incoming.data && outgoing.data && pictureOfBoth(incoming.data, outgoing.data), [incoming.data, outgoing.data])
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

function Exporters() {
  const answer = useAnswer("/api/v1/exporters")
  const all = html`<${Link} to=${address("exporters")}>all<//>`
  return html`<${Panel} title="Exporters" tools=${all}><${Shown} answer=${answer} isEmpty=${(data) => !data.exporters.length} empty="None yet">${(data) => {
    const columns = [
      { key: "address", title: "exporter", className: "grow", show: (row) => html`<span dir="auto">${row.name || row.address}</span>${row.name ? html` <span class="note">${row.address}</span>` : null}` },
      { key: "state", title: "state", show: (row) => html`<${StateLight} exporter=${row} />` },
      { key: "lost", title: "lost", isNumber: true, show: (row) => percent(lostPercent(row) / 100) },
      { key: "seen", title: "seen", isNumber: true, show: (row) => (row.last_seen ? age(Date.now() - row.last_seen * 1000) : "never") },
    ].map((column) => ({ ...column, isFixed: true }))
    return html`<${Table} caption="Exporters" columns=${columns} rows=${data.exporters.slice(0, 8)} keyOf=${(row) => row.address}
      onRow=${(row) => go(address(`exporters/${row.address}`))} />`
  }}<//><//>`
}
