/** Every interface of every exporter that flows name: its rate in and out, how full it is, one page each. */
import { html, useMemo, useState } from "../base.js"
import { boundTo, useAnswer } from "../api.js"
import { address, go, Link, route, useRange } from "../router.js"
import { MEASURES, percent, si } from "../units.js"
import { chartOf } from "../series.js"
import { limits } from "../parts/range.js"
import { UntilFirstExporter } from "../parts/health.js"
import { Figure, Panel, Provenance, Shown } from "../parts/state.js"
import { Bar, Table } from "../parts/table.js"
import { Tops } from "../parts/tops.js"
import { Traffic } from "../parts/traffic.js"
import { Rename, Truth } from "./interfaces/truth.js"

/** The most groups that the API answers. */
const MOST = 10_000

/** In and out of each interface, joined. @param {any} incoming @param {any} outgoing @param {number} length in seconds @param {any} speeds or nothing */
function joinedRows(incoming, outgoing, length, speeds) {
  const rows = new Map()
  const known = new Map(speeds?.interfaces.map((one) => [`${one.exporter}/${one.number}`, one.speed]))
  const add = (answer, side, number) => {
    for (const row of answer.rows) {
      if (row[number] === null || row[number] === undefined) continue
      const key = `${row.exporter_address}/${row[number]}`
      const found = rows.get(key) ?? { key, exporter: row.exporter_address, number: row[number], name: "", description: "", in: 0, out: 0, flows: 0, speed: known.get(key) ?? 0 }
      found.name ||= row.interface_name ?? ""
      found.description ||= row.interface_description ?? ""
      found[side] += (row.octets * 8) / length
      found.flows += row.flows
      rows.set(key, found)
    }
  }
  add(incoming, "in", "ingress_interface")
  add(outgoing, "out", "egress_interface")
  return [...rows.values()].map((row) => ({ ...row, use: row.speed ? Math.max(row.in, row.out) / row.speed : 0 }))
}

export default function Interfaces({ session, rest }) {
  const mayName = session.roles.includes("Administrator")
  return rest.length === 2 ? html`<${One} exporter=${rest[0]} number=${rest[1]} mayName=${mayName} />` : html`<${List} />`
}

function List() {
  const range = useRange()
  const { params } = route.use()
  const [text, setText] = useState(params.get("search") ?? "")
  const incoming = useAnswer("/api/v1/explore/top", { ...range, by: "ingress_interface", limit: MOST })
  const outgoing = useAnswer("/api/v1/explore/top", { ...range, by: "egress_interface", limit: MOST })
  const speeds = useAnswer("/api/v1/interfaces/speeds", {})
  const hasSpeeds = boundTo.use() === ""
  const rows = useMemo(() => {
    if (!incoming.data || !outgoing.data || (hasSpeeds && !(speeds.data || speeds.error))) return null
    const length = (Date.parse(incoming.data.until) - Date.parse(incoming.data.since)) / 1000
    return joinedRows(incoming.data, outgoing.data, length, speeds.data)
  }, [incoming.data, outgoing.data, speeds.data, speeds.error])
  const answer = { ...incoming, data: rows, error: incoming.error ?? outgoing.error }
  return html`<div class="page-head"><h1>Interfaces</h1><span class="note">mean rates of the range, as flows tell them</span>
      <div class="tools"><input type="search" data-filter placeholder="Name, exporter, description" aria-label="Search interfaces" value=${text} onInput=${(event) => setText(event.target.value)} /></div></div><${UntilFirstExporter} />
    <${Panel}><${Shown} answer=${answer} lines=${9} isEmpty=${(data) => !data.length} empty="No flow names an interface in this range">${(data) => {
      const shown = data.filter((row) => `${row.exporter} ${row.name} ${row.description} if ${row.number}`.toLowerCase().includes(text.toLowerCase()))
      const most = Math.max(...data.map((row) => Math.max(row.in, row.out)), 1)
      const rate = (side, title) => ({ key: side, title, isNumber: true, show: (row) => html`<${Bar} share=${row[side] / most}>${si(row[side], "bit/s")}<//>` })
      const columns = [
        { key: "name", title: "interface", value: (row) => row.name || `if ${row.number}`, show: (row) => html`<b dir="auto">${row.name || `if ${row.number}`}</b>` },
        { key: "description", title: "description", className: "grow", show: (row) => html`<span class="note" dir="auto">${row.description}</span>` },
        { key: "exporter", title: "exporter" },
        { key: "number", title: "ifIndex", isNumber: true },
        rate("in", "in"), rate("out", "out"),
        ...(data.some((row) => row.speed) ? [
          { key: "speed", title: "speed", isNumber: true, show: (row) => (row.speed ? si(row.speed, "bit/s") : html`<span class="note">–</span>`) },
          { key: "use", title: "in use", isNumber: true, show: (row) => (row.speed ? html`<${Bar} share=${Math.min(row.use, 1)}>${percent(row.use)}<//>` : html`<span class="note">–</span>`) },
        ] : []),
        { key: "flows", title: "flows", isNumber: true, show: (row) => si(row.flows) },
      ]
      return html`<${Table} caption="Interfaces" columns=${columns} rows=${shown} pageRows=${100} keyOf=${(row) => row.key} sort="-in" onRow=${(row) => go(address(`interfaces/${row.exporter}/${row.number}`))} />
        <${Provenance} answer=${incoming.data} />`
    }}<//><//>`
}

function One({ exporter, number, mayName }) {
  const range = useRange()
  const isBound = boundTo.use() !== ""
  const own = `exporter ${exporter}`
  const filters = { in: `${own} and in if ${number}`, out: `${own} and out if ${number}` }
  const named = useAnswer("/api/v1/explore/top", { ...range, by: "interface", filter: `${own} and if ${number}`, limit: 20 })
  const month = useAnswer("/api/v1/explore/series", { ...monthOf(range), filter: filters.in, step: "1h", limit: 1 })
  const facts = named.data?.rows.find((row) => String(row.interface) === number)
  const name = facts?.interface_name || `if ${number}`
  return html`<div class="page-head"><h1 dir="auto">${name}</h1><span class="note" dir="auto">${[facts?.interface_description, `ifIndex ${number} of`].filter(Boolean).join(" · ")} ${isBound ? exporter : html`<${Link} to=${address(`exporters/${exporter}`)}>${exporter}<//>`}</span>
      <div class="tools row">${mayName ? html`<${Rename} exporter=${exporter} number=${number} name=${facts?.interface_name ?? ""} onDone=${named.reload} />` : null}
      <${Link} class="button" to=${address("explore", { filter: `${own} and if ${number}`, by: "conversation" })}>Explore<//></div></div>
    <${Traffic} note="in above, out below" filters=${[filters.in, filters.out]} empty="Nothing went through it in this range">${(data) => html`
      <dl class="figures"><${Figure} name="In, mean" value=${si(data.means[0], "bit/s")} /><${Figure} name="In, 95th percentile" value=${si(data.percentiles[0], "bit/s")} />
        <${Figure} name="Out, mean" value=${si(data.means[1], "bit/s")} /><${Figure} name="Out, 95th percentile" value=${si(data.percentiles[1], "bit/s")} />
        <${Figure} name="In, 95th of 30 days" value=${month.data ? si(monthly(month.data), "bit/s") : "…"} note="hourly means" /></dl>`}<//>
    ${facts ? html`<${Truth} exporter=${exporter} number=${number} range=${range} />` : null}
    <div class="grid two"><${Tops} title="Hosts in" by="source" filter=${filters.in} /><${Tops} title="Hosts out" by="destination" filter=${filters.out} />
      <${Tops} title="Applications in" by="application" filter=${filters.in} /><${Tops} title="Applications out" by="application" filter=${filters.out} /></div>`
}

const MONTH_MS = 30 * 86_400_000

/** The 30 days up to the end of the range. */
function monthOf(range) {
  if (range.last) return { last: "30d" }
  const [, to] = limits(range)
  return { from: new Date(to - MONTH_MS).toISOString(), to: new Date(to).toISOString() }
}

function monthly(answer) {
  return chartOf(answer, MEASURES.octets).total95
}
