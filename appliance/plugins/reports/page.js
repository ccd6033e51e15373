/** What a day, week or month brought, and what would be billed. */
import { coloursOf, dateTime, html, Panel, percent, Shown, si, Table, TimeChart, useAnswer, useState } from "console"

const KINDS = [["daily", "day"], ["weekly", "week"], ["monthly", "month"]]
const UNITS = { octets: "B", packets: "", flows: "" }
const rate = (key, title) => ({ key, title, isNumber: true, show: (row) => (row[key] === null ? "" : si(row[key], "bit/s")) })
const change = { key: "change_percent", title: "change", isNumber: true, show: (row) => (row.change_percent === null ? newNote(row.value ?? row.octets) : `${row.change_percent > 0 ? "+" : ""}${Math.round(row.change_percent)} %`) }
/** @param {number} value */
function newNote(value) {
  return value ? html`<span class="note">new</span>` : ""
}

const TOTALS = [
  { key: "measure", title: "total", className: "grow" },
  { key: "value", title: "in it", isNumber: true, show: (row) => si(row.value, UNITS[row.measure]) },
  { key: "before", title: "the one before", isNumber: true, show: (row) => si(row.before, UNITS[row.measure]) },
  change,
]
const BILLING = [
  { key: "name", title: "whose", className: "grow wrap", show: (row) => html`<b dir="auto">${row.name}</b> <span class="note" dir="auto">${row.description}</span>` },
  rate("billed", "billed"), { key: "direction", title: "side" }, rate("ingress", "in"), rate("egress", "out"), { key: "kind", title: "kind" },
]

export default function Reports() {
  const [kind, setKind] = useState("daily")
  const [date, setDate] = useState("")
  const answer = useAnswer(`/api/v1/reports/${kind}`, date ? { date } : {}, { isLong: true })
  return html`<div class="page-head"><h1>Reports</h1>
      <label>of the <select value=${kind} onChange=${(event) => setKind(event.target.value)}>${KINDS.map(([key, text]) => html`<option key=${key} value=${key}>${text}</option>`)}</select></label>
      <label>with <input type="date" aria-label="A day in it" value=${date} onInput=${(event) => setDate(event.target.value)} /></label>
      <button type="button" onClick=${answer.reload} disabled=${answer.isLoading}>Ask again</button></div>
    <${Shown} answer=${answer}>${(data) => html`<${Report} report=${data} />`}<//>`
}

function Report({ report }) {
  if (!report.totals.some((row) => row.value)) {
    return html`<${Panel} title=${report.period} note=${notesOf(report)}><p class="note">There are no flows in it. Choose another day above.</p><//>`
  }
  const since = Date.parse(report.since)
  const values = report.series.bits_a_second
  const startsMs = values.map((_, place) => since + place * report.series.step_seconds * 1000)
  return html`<${Panel} title=${report.period} note=${notesOf(report)}>
      <${TimeChart} startsMs=${startsMs} lines=${[{ label: "all", colour: coloursOf(["all"])[0], values }]} unit="bit/s" summary=${`Traffic of ${report.period}`} />
      <${Table} caption="Totals" columns=${TOTALS} rows=${report.totals} /><//>
    <${Panel} title="95th percentile" note="bins of five minutes, each direction alone, the larger is billed">
      ${report.billing.length ? html`<${Table} caption="95th percentile" columns=${BILLING} rows=${report.billing} sort="-billed" />` : html`<p class="note">No interface had flows, and reports.customers names nobody.</p>`}<//>
    ${report.tops.filter((top) => top.rows.length).map((top) => html`<${Panel} key=${top.by} title=${`Largest by ${top.by}`}><${Table} caption=${top.by} rows=${top.rows} columns=${[
      { key: "key", title: top.by, className: "grow wrap", show: (row) => html`<span dir="auto">${row.key}</span>` },
      { key: "octets", title: "octets", isNumber: true, show: (row) => si(row.octets, "B") },
      { key: "share_percent", title: "share", isNumber: true, show: (row) => percent(row.share_percent / 100) }, change]} /><//>`)}`
}

function notesOf(report) {
  return [
    report.complete_from > report.since ? `flows are stored from ${dateTime(report.complete_from)} on` : "",
    report.complete_until < report.until ? "it still goes on" : "",
    report.estimated ? "estimated from samples" : "",
  ].filter(Boolean).join("; ")
}
