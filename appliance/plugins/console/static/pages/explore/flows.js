/** The single flows that an answer is made of, newest first, page by page. */
import { html, useEffect, useState } from "../../base.js"
import { get, useAnswer } from "../../api.js"
import { dateTime } from "../../times.js"
import { asText, protocolName } from "../../labels.js"
import { si, whole } from "../../units.js"
import { Partial, Shown } from "../../parts/state.js"
import { Table } from "../../parts/table.js"

const PAGE = 50

/** @param {{range: any, filter: string}} props */
export function Flows({ range, filter }) {
  const params = { ...range, filter, limit: PAGE }
  const answer = useAnswer("/api/v1/explore/flows", params)
  const [more, setMore] = useState({ flows: [], next: null, isBusy: false, problem: "" })
  useEffect(() => setMore({ flows: [], next: answer.data?.next ?? null, isBusy: false, problem: "" }), [answer.data])
  const load = async () => {
    setMore({ ...more, isBusy: true })
    try {
      const page = await get("/api/v1/explore/flows", { ...params, after: more.next })
      setMore({ flows: [...more.flows, ...page.flows], next: page.next, isBusy: false, problem: "" })
    } catch (error) {
      setMore({ ...more, isBusy: false, problem: error.message })
    }
  }
  return html`<${Shown} answer=${answer} isEmpty=${(data) => !data.flows.length} empty="No flows fit in this range">${(data) => html`
    <${Table} caption="Single flows" columns=${COLUMNS} rows=${[...data.flows, ...more.flows]} />
    ${data.partial ? html`<p class="provenance"><${Partial} answer=${data} /></p>` : null}
    <div class="row below">${more.next ? html`<button type="button" disabled=${more.isBusy} onClick=${load}>Show more</button>` : html`<span class="note">That is all.</span>`}
      ${more.problem ? html`<span class="problem" role="alert">${more.problem}</span>` : null}</div>`}<//>`
}

const start = (flow) => flow.flow_start_milliseconds ?? flow.collection_time_milliseconds
const number = (value) => (value === null || value === undefined ? 0 : value)

const COLUMNS = [
  { key: "start", title: "start", value: (flow) => String(start(flow)), show: (flow) => dateTime(start(flow)) },
  { key: "exporter", title: "exporter", show: (flow) => flow.exporter_address },
  { key: "source", title: "source", show: (flow) => ended(flow.source_address, flow.source_transport_port) },
  { key: "destination", title: "destination", show: (flow) => ended(flow.destination_address, flow.destination_transport_port) },
  { key: "protocol", title: "protocol", show: (flow) => protocolName(flow.protocol_identifier) },
  { key: "application", title: "application", show: (flow) => flow.application_name ?? "" },
  { key: "in", title: "in → out", show: (flow) => `${flow.ingress_interface ?? "–"} → ${flow.egress_interface ?? "–"}` },
  { key: "as", title: "AS", show: (flow) => systems(flow) },
  { key: "octets", title: "octets", isNumber: true, value: (flow) => number(flow.octet_delta_count), show: (flow) => si(flow.octet_delta_count, "B") },
  { key: "packets", title: "packets", isNumber: true, value: (flow) => number(flow.packet_delta_count), show: (flow) => whole(flow.packet_delta_count) },
]

function systems(flow) {
  const texts = ["source", "destination"].map((side) => flow[`bgp_${side}_as_number`] ? asText(flow[`bgp_${side}_as_number`], flow[`bgp_${side}_as_name`]) : "–")
  return texts.some((text) => text !== "–") ? texts.join(" → ") : ""
}

function ended(address, port) {
  if (!address) return "–"
  if (port === null || port === undefined) return address
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`
}
