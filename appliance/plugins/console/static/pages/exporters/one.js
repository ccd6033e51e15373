/** One exporter: whether all of it arrives, can be read and is in time, and what helps. */
import { html, useEffect, useState } from "../../base.js"
import { send, useAnswer } from "../../api.js"
import { address, go, Link } from "../../router.js"
import { dateTime, span } from "../../times.js"
import { binary, percent, si, whole } from "../../units.js"
import { Figure, Light, Panel, Shown } from "../../parts/state.js"
import { Table } from "../../parts/table.js"
import { Confirm } from "../../parts/dialog.js"
import { Field, notify } from "../../parts/form.js"
import { Snmp } from "./snmp.js"
import { protocolOf, samplingText, StateLight, STATES, sum } from "../../parts/exporter.js"

const EVERY_MS = 5000
const TOTALS = { flow_records: "flow records", messages: "messages", octets: "octets" }

/** @param {{exporter: any, isAdministrator: boolean, reload: () => void}} props */
export function One({ exporter, isAdministrator, reload }) {
  const health = useAnswer(`/api/v1/exporters/${encodeURIComponent(exporter.address)}/health`, {}, { everyMs: EVERY_MS })
  const name = exporter.name || exporter.device_name
  return html`<div class="page-head"><h1 dir="auto">${name || exporter.address}</h1>${name ? html`<span class="note">${exporter.address}</span>` : null}
      <${StateLight} exporter=${exporter} /><div class="tools row">
      <${Link} class="button" to=${address("explore", { filter: `exporter ${exporter.address}`, by: "interface" })}>Explore its traffic<//></div></div>
    <${Shown} answer=${health} lines=${9}>${(data) => html`<${Health} health=${data} exporter=${exporter} />
      <${Panel} title="Sessions" note="one for each port that it sends from, and each connection"><${Sessions} sessions=${data.sessions} /><//>
      <div class="grid two">
        <${Panel} title="Templates" note="announced last"><${Templates} health=${data} /><//>
        ${data.totals.length ? html`<${Panel} title="By its own count" note="since the collector first heard it"><${Totals} totals=${data.totals} /><//>` : null}
        ${isAdministrator && exporter.id !== null ? html`<${Naming} exporter=${exporter} reload=${reload} /><${Snmp} exporter=${exporter} />` : null}
        <${Panel} title="Counted"><${Counts} counts=${exporter.counts} /><//>
      </div>`}<//>`
}

function Health({ health, exporter }) {
  const worst = worstOf(health.sessions)
  const restarts = sum(health, "restarts")
  const last = Math.max(...health.sessions.map((one) => one.last_restart ?? 0))
  const longest = Math.max(...health.sessions.map((one) => one.active_timeout_seconds ?? 0))
  const facts = [
    ["Flows", si(sum(health, "flows_per_second"), "/s"), `${whole(exporter.counts.records)} records, ${whole(exporter.counts.datagrams)} datagrams`],
    ["Lost", worst.lost_percent === null ? "not known" : percent(worst.lost_percent / 100, 2), `${whole(worst.lost)} of ${whole(worst.lost + worst.received)} ${worst.lost_unit}`],
    ["Last heard", health.silent_seconds === null ? "never" : `${span(health.silent_seconds)} ago`, health.silent_seconds === null ? "since the collector started" : ""],
    ["Templates", whole(sum(health, "templates")), health.missing_templates.length ? `${health.missing_templates.length} missing, ${binary(health.waiting_octets)} wait` : "none missing"],
    ["Sampling", samplingText(health), health.sampling.source],
    ["Clock", clockText(worst.clock_skew_seconds)],
    ["Active timeout", longest ? span(Math.round(longest)) : "not seen yet", "as observed"],
    ["Restarts", whole(restarts), last ? `last ${dateTime(last * 1000)}` : ""],
    ["Names told", whole(exporter.interfaces + exporter.applications), `${whole(exporter.interfaces)} interfaces, ${whole(exporter.applications)} applications`],
  ]
  return html`<${Panel}>${health.running ? null : html`<p class="note">The collector does not run; these are its last figures, of ${dateTime(health.time * 1000)}.</p>`}
      <dl class="figures is-first">${facts.map(([name, value, note]) => html`<${Figure} key=${name} name=${name} value=${value} note=${note} />`)}</dl><//>
    <${Panel} title="What to do">${health.hints.length
      ? html`<ul class="hints">${health.hints.map((hint) => html`<li key=${hint}>${hint}</li>`)}</ul>`
      : html`<p class="note"><${Light} tone="good">nothing<//> All of it arrives, can be read, and is in time.</p>`}
      ${health.unknown_elements.length ? html`<p class="note">Elements that no registry names are skipped: <code>${health.unknown_elements.join(", ")}</code></p>` : null}<//>`
}

/** The session that loses most, of several that are heard. @param {any[]} sessions */
function worstOf(sessions) {
  const heard = sessions.filter((one) => one.state !== "unheard")
  return (heard.length ? heard : sessions).reduce((worst, one) => ((one.lost_percent ?? -1) > (worst.lost_percent ?? -1) ? one : worst))
}

/** @param {number} seconds by which a clock is ahead */
function clockText(seconds) {
  return Math.abs(seconds) < 5 ? "right" : `${span(Math.round(Math.abs(seconds)))} ${seconds > 0 ? "ahead" : "behind"}`
}

/** @param {{sessions: any[]}} props */
function Sessions({ sessions }) {
  const columns = [
    { key: "port", title: "port", show: (row) => row.port ?? "only one" },
    { key: "protocol", title: "protocol", value: protocolOf, show: protocolOf },
    { key: "state", title: "state", show: (row) => html`<${Light} tone=${STATES[row.state]?.[0] ?? "off"}>${STATES[row.state]?.[1] ?? row.state}<//>` },
    { key: "flows_per_second", title: "flows/s", isNumber: true, show: (row) => si(row.flows_per_second) },
    { key: "lost_percent", title: "lost", isNumber: true, show: (row) => percent((row.lost_percent ?? 0) / 100) },
    { key: "late", title: "late", isNumber: true, show: (row) => whole(row.late) },
    { key: "restarts", title: "restarts", isNumber: true, show: (row) => whole(row.restarts) },
    { key: "sampling", title: "sampling", value: (row) => row.sampling ?? row.last_rate ?? 0, show: (row) => sessionSampling(row) },
    { key: "clock_skew_seconds", title: "clock", isNumber: true, show: (row) => clockText(row.clock_skew_seconds) },
  ]
  return html`<${Table} caption="Sessions" columns=${columns} rows=${sessions} keyOf=${(row) => `${row.transport}${row.port}`} />`
}

function sessionSampling(session) {
  const text = samplingText({ sampling: { rate: session.sampling, source: session.sampling_source } })
  return session.sampling === null && session.last_rate ? `${text}, last 1 in ${whole(session.last_rate)}` : text
}

/** @param {{health: any}} props */
function Templates({ health }) {
  const missing = health.missing_templates.map((one) => ({ ...one, isMissing: true, age: health.time - one.since }))
  const known = health.known_templates.map((one) => ({ ...one, age: one.age_seconds }))
  if (!missing.length && !known.length) return html`<p class="empty">NetFlow v5 needs none, or none has come yet</p>`
  const columns = [
    { key: "id", title: "template", isNumber: true },
    { key: "domain", title: "domain", isNumber: true },
    { key: "kind", title: "of", value: kindOf, show: (row) => (row.isMissing ? html`<${Light} tone="warn">missing<//>` : kindOf(row)) },
    { key: "fields", title: "fields", isNumber: true, show: (row) => (row.isMissing ? `${binary(row.octets)} wait` : row.fields) },
    { key: "age", title: "announced", isNumber: true, show: (row) => (row.isMissing ? `missed for ${span(Math.round(row.age))}` : `${span(Math.round(row.age))} ago`) },
  ]
  return html`<${Table} caption="Templates" columns=${columns} rows=${[...missing, ...known]} keyOf=${(row) => `${row.isMissing}/${row.port}/${row.domain}/${row.id}`} />`
}

function kindOf(row) {
  return row.isMissing ? "missing" : row.options ? "options" : "flows"
}

/** What an exporter says that it sent, and what came of it. @param {{totals: any[]}} props */
function Totals({ totals }) {
  const rows = totals.flatMap((total) => Object.keys(TOTALS).filter((name) => total[name]).map((name) => ({ ...total[name], key: `${total.port}/${total.domain}/${name}`, domain: total.domain, what: TOTALS[name], since: total.since })))
  const columns = [
    { key: "what", title: "what", className: "grow" },
    { key: "domain", title: "domain", isNumber: true },
    { key: "sent", title: "sent", isNumber: true, show: (row) => whole(row.sent) },
    { key: "received", title: "came", isNumber: true, show: (row) => whole(row.received) },
    { key: "missing", title: "missing", isNumber: true, show: (row) => whole(row.missing) },
    { key: "since", title: "since", show: (row) => dateTime(row.since * 1000) },
  ]
  return html`<${Table} caption="By its own count" columns=${columns} rows=${rows} keyOf=${(row) => row.key} />`
}

function Counts({ counts }) {
  const rows = Object.entries(counts).filter(([, value]) => value).map(([name, value]) => ({ name: name.replaceAll("_", " "), value }))
  return html`<${Table} caption="Counted" columns=${[{ key: "name", title: "what", className: "grow" }, { key: "value", title: "count", isNumber: true, show: (row) => whole(row.value) }]} rows=${rows} keyOf=${(row) => row.name} />`
}

function Naming({ exporter, reload }) {
  const [texts, setTexts] = useState({ Name: exporter.name, Info: exporter.info })
  const [problem, setProblem] = useState("")
  const [isForgetting, setForgetting] = useState(false)
  useEffect(() => setTexts({ Name: exporter.name, Info: exporter.info }), [exporter.name, exporter.info])
  const save = async (event) => {
    event.preventDefault()
    try {
      await send("POST", `/v1/api/device/set/by/${exporter.id}`, texts)
      setProblem("")
      notify("Saved")
      reload()
    } catch (error) {
      setProblem(error.message)
    }
  }
  return html`<${Panel} title="Name and info"><form onSubmit=${save}>
      <${Field} title="Name" value=${texts.Name} onInput=${(Name) => setTexts({ ...texts, Name })} dir="auto" />
      <${Field} title="Info" value=${texts.Info} onInput=${(Info) => setTexts({ ...texts, Info })} dir="auto" problem=${problem} />
      <div class="row"><button class="primary">Save</button><span class="gap"></span><button type="button" onClick=${() => setForgetting(true)}>Forget …</button></div></form>
    ${isForgetting ? html`<${Confirm} title=${`Forget ${exporter.address}?`} action="Forget" onClose=${() => setForgetting(false)}
      act=${async () => { await send("DELETE", `/api/v1/exporters/${exporter.id}`); notify(`${exporter.address} is forgotten`); go(address("exporters")) }}>
      <p>Its name, its info and its sums go. Its flows stay; when it sends again, it is a new exporter.</p><//>` : null}<//>`
}
