/** What a day, week or month brought, what would be billed, and the reports that are made regularly. */
import {
  coloursOf, Confirm, dateTime, Dialog, Field, FilterBox, html, notify, Panel, percent, send, Shown, si, Table, TimeChart, useAnswer, useForm, useState,
} from "console"

const PATH = "/api/v1/reports"
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
/** Columns without the change, where there is nothing to compare with. */
function comparable(columns, report) {
  return report.compared ? columns : columns.filter((column) => column !== change && column.key !== "before")
}
const BILLING = [
  { key: "name", title: "whose", className: "grow wrap", show: (row) => html`<b dir="auto">${row.name}</b> <span class="note" dir="auto">${row.description}</span>` },
  rate("billed", "billed"), { key: "direction", title: "side" }, rate("ingress", "in"), rate("egress", "out"), { key: "kind", title: "kind" },
]

/** How the API's sentences name the fields. */
const WORDS = { filter: /^(filter|line \d)/i, name: /^name/i, to: /^to\b/i, hour: /^hour/i, zone: /^zone/i, rows: /^rows/i, more: /^sections/i }
const NAMED = "named/"

export default function Reports({ session }) {
  const [which, setWhich] = useState("daily")
  const [date, setDate] = useState("")
  // Named reports are about all flows: they are closed to who sees a part of them.
  const named = useAnswer(session.filter ? null : PATH, {})
  const answer = useAnswer(`${PATH}/${which}`, date ? { date } : {}, { isLong: true })
  const show = (name, day = "") => {
    setWhich(`${NAMED}${encodeURIComponent(name)}`)
    setDate(day)
  }
  const names = (named.data?.reports ?? []).map((report) => report.name)
  return html`<div class="page-head"><h1>Reports</h1>
      <label>of the <select value=${which} onChange=${(event) => setWhich(event.target.value)}>${KINDS.map(([key, text]) => html`<option key=${key} value=${key}>${text}</option>`)}
        ${names.map((name) => html`<option key=${name} value=${`${NAMED}${encodeURIComponent(name)}`}>${name}</option>`)}</select></label>
      <label>with <input type="date" aria-label="A day in it" value=${date} onInput=${(event) => setDate(event.target.value)} /></label>
      <button type="button" onClick=${answer.reload} disabled=${answer.isLoading}>Ask again</button></div>
    <${Shown} answer=${answer}>${(data) => html`<${Report} report=${data} />`}<//>
    ${session.filter ? null : html`<${Regular} named=${named} mayChange=${session.roles.includes("Administrator")} show=${show} /><${Kept} show=${show} />`}`
}

/** @param {string} name */
function pathOf(name) {
  return `${PATH}/${NAMED}${encodeURIComponent(name)}`
}

function Regular({ named, mayChange, show }) {
  const [edited, setEdited] = useState(/** @type {any} */ (null))
  const [leaving, setLeaving] = useState(/** @type {any} */ (null))
  const toggle = async (report) => {
    try {
      await send("PUT", pathOf(report.name), { is_on: !report.is_on })
      notify(`${report.name} is ${report.is_on ? "off" : "on"}`)
      named.reload()
    } catch (error) {
      notify(error.message, "bad")
    }
  }
  const actions = (report) => html`<button type="button" class="quiet" aria-label=${`Show ${report.name}`} onClick=${() => show(report.name)}>Show</button>${" "}
    ${mayChange ? html`<button type="button" class="quiet" aria-label=${`Edit ${report.name}`} onClick=${() => setEdited(report)}>Edit</button>${" "}
    <button type="button" class="quiet" aria-label=${`Delete ${report.name}`} onClick=${() => setLeaving(report)}>Delete</button>` : null}`
  const columns = [
    { key: "is_on", title: "on", value: (report) => (report.is_on ? 0 : 1), show: (report) => (mayChange
      ? html`<input type="checkbox" role="switch" checked=${report.is_on} aria-label=${`${report.name} is on`} onChange=${() => toggle(report)} />` : report.is_on ? "on" : "off") },
    { key: "name", title: "report", className: "grow wrap", show: (report) => html`<b dir="auto">${report.name}</b><br /><span class="note" dir="auto">${report.sentence || report.kind}</span>` },
    { key: "next", title: "next", show: (report) => (report.next ? dateTime(report.next) : html`<span class="note">off</span>`) },
    { key: "last", title: "last", className: "wrap", value: (report) => report.last?.period ?? "", show: (report) => lastOf(report.last) },
    { key: "actions", title: html`<span class="hidden">Actions</span>`, isFixed: true, show: actions },
  ]
  const tools = mayChange ? html`<button type="button" onClick=${() => setEdited({})}>Add a report …</button>` : null
  const empty = "None yet: one is made when its day, week or month is over, kept, and sent by mail"
  return html`<${Panel} title="Made regularly" note=${named.data?.can_send === false ? "mail is sent once mail.server is set in conf/appliance.yml" : ""} tools=${tools}>
    <${Shown} answer=${named} isEmpty=${(data) => !data.reports.length} empty=${empty}>${(data) => html`<${Table} caption="Made regularly" columns=${columns} rows=${data.reports} keyOf=${(report) => report.name} sort="name" />`}<//><//>
    ${edited ? html`<${Editor} key=${edited.name ?? "new"} report=${edited} words=${named.data} close=${() => setEdited(null)} reload=${named.reload} />` : null}
    ${leaving ? html`<${Confirm} title=${`Delete ${leaving.name}?`} action="Delete" onClose=${() => setLeaving(null)}
      act=${async () => { await send("DELETE", pathOf(leaving.name)); notify(`${leaving.name} is deleted`); named.reload() }}>
      <p>What was kept of it goes, too.</p><//>` : null}`
}

function lastOf(last) {
  if (!last) {
    return html`<span class="note">none yet</span>`
  }
  return html`${last.period}<br /><span class=${last.state === "given up" ? "problem" : "note"}>${last.state}${last.problem ? `: ${last.problem}` : ""}</span>`
}

function Kept({ show }) {
  const kept = useAnswer(`${PATH}/kept`, {})
  const columns = [
    { key: "report", title: "report", className: "grow wrap", show: (row) => html`<span dir="auto">${row.report}</span>` },
    { key: "period", title: "period" },
    { key: "made", title: "made", show: (row) => dateTime(row.made) },
    { key: "actions", title: html`<span class="hidden">Actions</span>`, isFixed: true, show: (row) => html`<button type="button" class="quiet" aria-label=${`Show ${row.report}, ${row.period}`} onClick=${() => show(row.report, row.date)}>Show</button>` },
  ]
  return html`<${Shown} answer=${kept} isEmpty=${(data) => !data.kept.length} empty="">${(data) => html`<${Panel} title="Kept" note="as they were made, though the flows may be gone">
    <${Table} caption="Kept" columns=${columns} rows=${data.kept} keyOf=${(row) => `${row.report}/${row.since}`} pageRows=${10} /><//>`}<//>`
}

/** @param {string} text */
function listOf(text) {
  return text.split(",").map((one) => one.trim()).filter(Boolean)
}

function Editor({ report, words, close, reload }) {
  const isNew = report.name === undefined
  const sections = report.sections ?? words.sections
  const [filter, setFilter] = useState(report.filter ?? "")
  const [chosen, setChosen] = useState(sections.filter((one) => words.sections.includes(one)))
  const [customers, setCustomers] = useState(report.customers ?? [])
  const initial = {
    name: report.name ?? "", kind: report.kind ?? "weekly", to: (report.to ?? []).join(", "), hour: String(report.hour ?? 6), zone: report.zone ?? "",
    rows: String(report.rows ?? 10), more: sections.filter((one) => !words.sections.includes(one)).join(", "), filter: "",
  }
  const form = useForm(initial, async ({ name, to, more, ...values }) => {
    const every = [...words.sections.filter((one) => chosen.includes(one)), ...listOf(more)]
    await send("PUT", pathOf(name), { ...values, filter, customers, to: listOf(to), sections: every, is_on: isNew || report.is_on })
    notify(`${name} is saved`)
    reload()
    close()
  }, WORDS)
  const boxes = (title, all, on, set) => html`<fieldset class="field"><legend>${title}</legend>${all.map((one) => html`<label class="check" key=${one}>
    <input type="checkbox" checked=${on.includes(one)} onChange=${() => set(on.includes(one) ? on.filter((other) => other !== one) : [...on, one])} /> <span dir="auto">${one}</span></label>${" "}`)}</fieldset>`
  return html`<${Dialog} title=${isNew ? "Add a report" : `Edit ${report.name}`} onClose=${close}><form onSubmit=${form.submit} autocomplete="off">
    ${isNew ? html`<${Field} title="Name" ...${form.field("name")} required maxlength="60" pattern="[^\/]+" placeholder="letters, digits, blanks and -_.,:()&+" autofocus dir="auto" />` : null}
    <div class="pair"><${Field} title="Of each" ...${form.field("kind")} options=${KINDS} /><${Field} title="At the hour, 0 to 23" ...${form.field("hour")} required inputmode="numeric" /></div>
    <${Field} title="By mail to, with commas" ...${form.field("to")} placeholder="nobody: it is kept" />
    <div class="field"><b>Which flows</b><${FilterBox} value=${filter} onText=${setFilter} problem=${form.problems.filter} placeholder="all flows, or such as dst port 443" /></div>
    ${boxes("What is in it", words.sections, chosen, setChosen)}
    <div class="pair"><${Field} title="More lists, with commas" ...${form.field("more")} placeholder="such as country, source/24" />
      <${Field} title="Rows of each list" ...${form.field("rows")} required inputmode="numeric" /></div>
    ${words.customers.length ? boxes("Customers; none chosen is all", words.customers, customers, setCustomers) : null}
    <${Field} title="Time zone" ...${form.field("zone")} placeholder="that of the appliance, or such as Europe/Vienna" />
    ${form.problem ? html`<p class="problem" role="alert">${form.problem}</p>` : null}
    <div class="row"><button class="primary" disabled=${form.isBusy}>Save</button><button type="button" onClick=${close}>Cancel</button></div></form><//>`
}

function Report({ report }) {
  if (!report.totals.some((row) => row.value)) {
    return html`<${Panel} title=${titleOf(report)} note=${notesOf(report)}><p class="note">There are no flows in it. Choose another day above.</p><//>`
  }
  const since = Date.parse(report.since)
  const values = report.series.bits_a_second
  const startsMs = values.map((_, place) => since + place * report.series.step_seconds * 1000)
  return html`<${Panel} title=${titleOf(report)} note=${notesOf(report)}>
      <${TimeChart} startsMs=${startsMs} lines=${[{ label: "all", colour: coloursOf(["all"])[0], values }]} unit="bit/s" summary=${`Traffic of ${report.period}`} />
      <${Table} caption="Totals" columns=${comparable(TOTALS, report)} rows=${report.totals} /><//>
    <${Panel} title="95th percentile" note="bins of five minutes, each direction alone, the larger is billed">
      ${report.billing.length ? html`<${Table} caption="95th percentile" columns=${BILLING} rows=${report.billing} sort="-billed" />` : html`<p class="note">No interface had flows, and reports.customers names nobody.</p>`}<//>
    ${report.tops.filter((top) => top.rows.length).map((top) => html`<${Panel} key=${top.by} title=${`Largest by ${top.by}`}><${Table} caption=${top.by} rows=${top.rows} columns=${comparable([
      { key: "key", title: top.by, className: "grow wrap", show: (row) => html`<span dir="auto">${row.key}</span>` },
      { key: "octets", title: "octets", isNumber: true, show: (row) => si(row.octets, "B") },
      { key: "share_percent", title: "share", isNumber: true, show: (row) => percent(row.share_percent / 100) }, change], report)} /><//>`)}`
}

function titleOf(report) {
  return report.name ? `${report.name}, ${report.period}` : report.period
}

function notesOf(report) {
  return [
    report.filter ? `only flows of ${report.filter}` : "",
    report.compared ? "" : "nothing whole before to compare with",
    report.complete_from > report.since ? `flows are stored from ${dateTime(report.complete_from)} on` : "",
    report.complete_until < report.until ? "it still goes on" : "",
    report.estimated ? "estimated from samples" : "",
  ].filter(Boolean).join("; ")
}
