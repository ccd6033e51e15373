/** The first page: what goes through the network now, in both directions. */
import { html, rememberedText } from "../base.js"
import { boundTo, useAnswer } from "../api.js"
import { address, go, Link } from "../router.js"
import { percent, si } from "../units.js"
import { age } from "../times.js"
import { Figure, Light, Panel, Shown } from "../parts/state.js"
import { Table } from "../parts/table.js"
import { Select } from "../parts/form.js"
import { lostPercent, StateLight } from "../parts/exporter.js"
import { FirstStepsBanner, toneOfStatus, useHealth } from "../parts/health.js"
import { Tops } from "../parts/tops.js"
import { Traffic } from "../parts/traffic.js"

const stackedBy = rememberedText("overview.by", "application", ["application", "protocol", "exporter"])
const IN = "direction=ingress"
const OUT = "direction=egress"

export default function Overview() {
  const isBound = boundTo.use() !== ""
  return html`<h1 class="hidden">Overview</h1><${Health} /><${Both} />
    <div class="grid two">
      <${Tops} title="Top talkers in" by="source" filter=${IN} />
      <${Tops} title="Top talkers out" by="source" filter=${OUT} />
      <${Tops} title="Applications" by="application" />
      <${Tops} title="Protocols" by="protocol" />
      <${Tops} title="Busiest interfaces" by="interface" />
      ${isBound ? html`<${Tops} title="Exporters" by="exporter" />` : html`<${Exporters} />`}
      <${Tops} title="Source AS" by="source_as" isOptional=${true} />
    </div>`
}

function Health() {
  const data = useHealth().data
  if (!data) return null
  if (data.status === "ok" && !data.exporters?.length) {
    return html`<${FirstStepsBanner} />`
  }
  if (data.status === "ok") return null
  return html`<p class="banner" role="status"><${Light} tone=${toneOfStatus(data.status)}>${data.status}<//> ${data.message}</p>`
}

function Both() {
  const by = stackedBy.use()
  const tools = html`<${Select} title="Stacked by" value=${by} onInput=${(value) => stackedBy.set(value)} isHidden=${true}
    options=${[["application", "by application"], ["protocol", "by protocol"], ["exporter", "by exporter"]]} />`
  return html`<${Traffic} note="ingress above, egress below" by=${by} filters=${[IN, OUT]} height=${300} tools=${tools} empty="No traffic in this range">${(data) => html`
    <ul class="legend">${data.legend.map((item) => html`<li key=${item.label}>
      <button type="button" onClick=${() => item.filter && go(address("explore", { filter: item.filter, by: "conversation" }))} disabled=${!item.filter}>
      <i style=${{ background: item.colour }}></i>${item.label} <b>${item.isEstimate ? "≈ " : ""}${si(item.mean, "bit/s")}</b></button></li>`)}</ul>
    <dl class="figures">
      <${Figure} name="In, mean" value=${si(data.means[0], "bit/s")} />
      <${Figure} name="In, 95th percentile" value=${si(data.percentiles[0], "bit/s")} />
      <${Figure} name="Out, mean" value=${si(data.means[1], "bit/s")} />
      <${Figure} name="Out, 95th percentile" value=${si(data.percentiles[1], "bit/s")} /></dl>`}<//>`
}

function Exporters() {
  const answer = useAnswer("/api/v1/exporters")
  const all = html`<${Link} to=${address("exporters")}>all<//>`
  return html`<${Panel} title="Exporters" tools=${all}><${Shown} answer=${answer} isEmpty=${(data) => !data.exporters.length} empty="None yet">${(data) => {
    const columns = [
      { key: "address", title: "exporter", className: "grow", show: (row) => html`<span dir="auto">${row.name || row.device_name || row.address}</span>${row.name || row.device_name ? html` <span class="note">${row.address}</span>` : null}` },
      { key: "state", title: "state", show: (row) => html`<${StateLight} exporter=${row} />` },
      { key: "lost", title: "lost", isNumber: true, show: (row) => percent(lostPercent(row) / 100) },
      { key: "seen", title: "seen", isNumber: true, show: (row) => (row.last_seen ? age(Date.now() - row.last_seen * 1000) : "never") },
    ].map((column) => ({ ...column, isFixed: true }))
    return html`<${Table} caption="Exporters" columns=${columns} rows=${data.exporters.slice(0, 8)} keyOf=${(row) => row.address}
      onRow=${(row) => go(address(`exporters/${row.address}`))} />`
  }}<//><//>`
}
