/** Who sends flows, whether all of it arrives, and how it is sampled; one page each. */
import { html, useEffect, useState } from "../base.js"
import { send, useAnswer } from "../api.js"
import { address, go, Link } from "../router.js"
import { age, dateTime } from "../times.js"
import { binary, percent, si, whole } from "../units.js"
import { Figure, Light, Panel, Shown } from "../parts/state.js"
import { Table } from "../parts/table.js"
import { Confirm } from "../parts/dialog.js"
import { Field, notify } from "../parts/form.js"
import { lostPercent, samplingText, StateLight, stateOf, STATES, sum } from "../parts/exporter.js"

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
      ${(data) => html`<${List} exporters=${data.exporters} />`}<//><//>`
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
  return [...new Set(exporter.sessions.map((one) => one.protocol).filter(Boolean))].join(", ")
}

function One({ exporter, isAdministrator, reload }) {
  const counts = exporter.counts
  const skew = exporter.clock_skew_seconds
  const facts = [
    ["Flows", html`${si(sum(exporter, "flows_per_second"), "/s")}`], ["Records", whole(counts.records)], ["Datagrams", whole(counts.datagrams)],
    ["Lost", percent(lostPercent(exporter) / 100), `${whole(counts.lost)} records`], ["Templates", whole(sum(exporter, "templates"))],
    ["Waiting for a template", exporter.waiting_octets ? binary(exporter.waiting_octets) : "nothing"],
    ["Sampling", samplingText(exporter), exporter.sampling.source], ["Last seen", exporter.last_seen ? age(Date.now() - exporter.last_seen * 1000) : "never", dateTime(exporter.last_seen ? exporter.last_seen * 1000 : null)],
    ["Clock", Math.abs(skew) < 5 ? "right" : `${Math.abs(skew).toFixed(0)} s ${skew > 0 ? "ahead" : "behind"}`],
    ["Names told", whole(exporter.interfaces + exporter.applications), `${whole(exporter.interfaces)} interfaces, ${whole(exporter.applications)} applications`],
  ]
  const hints = hintsOf(exporter)
  return html`<div class="page-head"><h1>${exporter.name || exporter.device_name || exporter.address}</h1>${exporter.name || exporter.device_name ? html`<span class="note">${exporter.address}</span>` : null}
      <${StateLight} exporter=${exporter} /><div class="tools row">
      <${Link} class="button" to=${address("explore", { filter: `exporter ${exporter.address}`, by: "interface" })}>Explore its traffic<//></div></div>
    <${Panel}><dl class="figures is-first">${facts.map(([name, value, note]) => html`<${Figure} key=${name} name=${name} value=${value} note=${note} />`)}</dl><//>
    ${hints.length ? html`<${Panel} title="What to look at"><ul class="hints">${hints.map((hint) => html`<li key=${hint}>${hint}</li>`)}</ul><//>` : null}
    <div class="grid two">
      <${Panel} title="Sessions" note="one for each address, port and observation domain"><${Sessions} exporter=${exporter} /><//>
      ${isAdministrator && exporter.id !== null ? html`<${Naming} exporter=${exporter} reload=${reload} />` : null}
      <${Panel} title="Counted"><${Counts} counts=${counts} /><//>
    </div>`
}

/** What is wrong with an exporter, as sentences with what helps. */
export function hintsOf(exporter) {
  const found = []
  const state = stateOf(exporter)
  if (state === "waiting") found.push("Data wait for their template. Exporters repeat templates by time or by packets: set the refresh to a minute (Cisco: template data timeout 60).")
  if (state === "silent") found.push("Nothing has come for five minutes: is the exporter up, does it still route to this address, does a firewall drop UDP?")
  if (lostPercent(exporter) > 1) found.push("Sequence numbers show gaps. Losses on this machine are on the page Collector; where there are none, the network or the exporter drops.")
  if (exporter.sampling.source === "assumed") found.push("Nobody told a sampling rate, so traffic counts as it is. If this exporter samples, send its sampler options or set collector.sampling_overrides.")
  if (Math.abs(exporter.clock_skew_seconds) >= 5) found.push("Its clock differs from this machine's: flows lie at the wrong time. Use NTP on both.")
  if (exporter.counts.implausible) found.push(`${whole(exporter.counts.implausible)} records claimed more than any interface carries; they are kept, and in no sum.`)
  return found
}

function Sessions({ exporter }) {
  const columns = [
    { key: "port", title: "port", show: (row) => row.port ?? "only one" },
    { key: "protocol", title: "protocol" },
    { key: "state", title: "state", show: (row) => html`<${Light} tone=${STATES[row.state]?.[0] ?? "off"}>${STATES[row.state]?.[1] ?? row.state}<//>` },
    { key: "flows_per_second", title: "flows/s", isNumber: true, show: (row) => si(row.flows_per_second) },
    { key: "lost_percent", title: "lost", isNumber: true, show: (row) => percent((row.lost_percent ?? 0) / 100) },
    { key: "templates", title: "templates", isNumber: true },
  ]
  return html`<${Table} caption="Sessions" columns=${columns} rows=${exporter.sessions} keyOf=${(row) => row.port} />`
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
