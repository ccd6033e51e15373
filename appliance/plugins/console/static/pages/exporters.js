/** Who sends flows, whether all of it arrives, and how it is sampled; one page each. */
import { html, useState } from "../base.js"
import { useAnswer } from "../api.js"
import { address, go, Link } from "../router.js"
import { age } from "../times.js"
import { binary, percent, si, whole } from "../units.js"
import { Panel, Shown } from "../parts/state.js"
import { Table } from "../parts/table.js"
import { CapturePanel } from "../parts/capture.js"
import { lostPercent, protocolOf, samplingText, StateLight, stateOf, sum } from "../parts/exporter.js"
import { One } from "./exporters/one.js"

const EVERY_MS = 5000
const PATH = "/api/v1/exporters"

export default function Exporters({ session, rest }) {
  const answer = useAnswer(PATH, {}, { everyMs: EVERY_MS })
  const isAdministrator = session.roles.includes("Administrator")
  if (rest.length) {
    const exporter = answer.data?.exporters.find((one) => one.address === rest[0])
    if (answer.data && !exporter) return html`<p class="empty">No exporter ${rest[0]} is known here. <${Link} to=${address("exporters")}>All exporters<//></p>`
    return html`<${Shown} answer=${{ ...answer, data: exporter }}>${(data) => html`<${One} exporter=${data} isAdministrator=${isAdministrator} reload=${answer.reload} />`}<//>`
  }
  return html`<div class="page-head"><h1>Exporters</h1></div>
    <${Panel}><${Shown} answer=${answer} isEmpty=${(data) => !data.exporters.length} empty=${html`No exporter has sent anything yet. <${Link} to=${address("start")}>How to make a router send flows here<//>`}>
      ${(data) => html`<${List} exporters=${data.exporters} />`}<//><//>
    <${CapturePanel} />`
}

function List({ exporters }) {
  const [text, setText] = useState("")
  const shown = exporters.filter((one) => `${one.address} ${one.name} ${one.device_name} ${one.info}`.toLowerCase().includes(text.toLowerCase()))
  const columns = [
    { key: "address", title: "exporter", show: (row) => html`<b>${row.address}</b>` },
    { key: "name", title: "name", className: "grow", value: (row) => row.name || row.device_name, show: (row) => html`<span dir="auto">${row.name || row.device_name}</span>${row.info ? html` <span class="note" dir="auto">${row.info}</span>` : null}` },
    { key: "state", title: "state", value: stateOf, show: (row) => html`<${StateLight} exporter=${row} />` },
    { key: "protocol", title: "protocol", value: protocolsOf, show: protocolsOf },
    { key: "rate", title: "flows/s", isNumber: true, value: (row) => sum(row, "flows_per_second"), show: (row) => si(sum(row, "flows_per_second")) },
    { key: "lost", title: "lost", isNumber: true, value: lostPercent, show: (row) => percent(lostPercent(row) / 100) },
    { key: "templates", title: "templates", isNumber: true, value: (row) => sum(row, "templates"), show: (row) => whole(sum(row, "templates")) },
    { key: "waiting", title: "waiting", isNumber: true, value: (row) => row.waiting_octets, show: (row) => (row.waiting_octets ? binary(row.waiting_octets) : "0") },
    { key: "sampling", title: "sampling", value: samplingText, show: samplingText },
    { key: "last_seen", title: "seen", isNumber: true, show: (row) => (row.last_seen ? age(Date.now() - row.last_seen * 1000) : "never") },
  ]
  return html`${exporters.length > 10 ? html`<div class="row list-tools"><input type="search" data-filter placeholder="Address or name" aria-label="Search exporters" value=${text} onInput=${(event) => setText(event.target.value)} />
      <span class="note">${shown.length} of ${exporters.length}</span></div>` : null}
    <${Table} caption="Exporters" columns=${columns} rows=${shown} pageRows=${100} keyOf=${(row) => row.address} sort="address" onRow=${(row) => go(address(`exporters/${row.address}`))} />`
}

function protocolsOf(exporter) {
  return [...new Set(exporter.sessions.filter((one) => one.protocol).map(protocolOf))].join(", ")
}
