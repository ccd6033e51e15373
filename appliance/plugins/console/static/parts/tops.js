/** A panel with the largest groups of one dimension. */
import { html } from "../base.js"
import { useAnswer } from "../api.js"
import { address, go, Link, useRange } from "../router.js"
import { errorText, percent, si } from "../units.js"
import { cells, joinFilters, keysOf, labelOf } from "../labels.js"
import { Panel, Partial, Shown } from "./state.js"
import { Bar, Table } from "./table.js"

/** @param {{title: string, by: string, filter?: string, limit?: number, isOptional?: boolean}} props where optional, nothing is shown until there is something */
export function Tops({ title, by, filter = "", limit = 8, isOptional = false }) {
  const range = useRange()
  const answer = useAnswer("/api/v1/explore/top", { ...range, by, filter, limit })
  if (isOptional && !answer.data?.rows.some((row) => Object.values(keysOf(row)).some((value) => value !== null))) return null
  const more = html`<${Link} to=${address("explore", { by, filter })}>all<//>`
  return html`<${Panel} title=${title} tools=${more}><${Shown} answer=${answer} isEmpty=${(data) => !data.rows.length} empty="Nothing in this range">${(data) => {
    const total = data.total.octets || 1
    const length = (Date.parse(data.until) - Date.parse(data.since)) / 1000
    const columns = [
      { key: "name", title: "name", className: "grow", show: (row) => html`<${Name} keys=${keysOf(row)} />` },
      { key: "rate", title: "mean", isNumber: true, show: (row) => html`<span title=${errorText(row.octets, row.octets_error, row.sampled_rows)}>${row.octets_error ? "≈ " : ""}${si((row.octets * 8) / length, "bit/s")}</span>` },
      { key: "share", title: "share", isNumber: true, show: (row) => html`<${Bar} share=${row.octets / total}>${percent(row.octets / total)}<//>` },
    ].map((column) => ({ ...column, isFixed: true }))
    return html`${data.partial ? html`<p class="provenance"><${Partial} answer=${data} /></p>` : null}
      <${Table} caption=${title} columns=${columns} rows=${data.rows} keyOf=${(row) => JSON.stringify(keysOf(row))}
      onRow=${(row) => open(by, keysOf(row), filter)} />`
  }}<//><//>`
}

function Name({ keys }) {
  const found = cells(keys)
  return html`<span class="name" dir="auto">${labelOf(keys)}</span>${found[0]?.note ? html` <span class="note" dir="auto">${found[0].note}</span>` : null}`
}

function open(by, keys, filter) {
  const own = joinFilters(...cells(keys).map((cell) => cell.filter))
  if (keys.source_address || keys.host_address) return go(address(`hosts/${keys.source_address ?? keys.host_address}`))
  return go(address("explore", { filter: joinFilters(filter, own), by: by === "conversation" ? "service" : "conversation" }))
}
