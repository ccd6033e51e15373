/** First steps: make a device send flows here, and see how far they come. */
import { html, useState } from "../base.js"
import { useAnswer } from "../api.js"
import { address, Link } from "../router.js"
import { age } from "../times.js"
import { whole } from "../units.js"
import { useHealth } from "../parts/health.js"
import { Failure, Light, Panel, Skeleton } from "../parts/state.js"
import { Copyable, Field } from "../parts/form.js"
import { RECIPES } from "../recipes.js"

const EVERY_MS = 5000
const SILENT_MS = 300_000
const MOST_EXPORTERS = 20
const DEFAULT_PORT = "2055"
const LOOPBACK = /^(localhost|127\.[0-9.]+|\[?::1\]?)$/

export default function Start({ session }) {
  const health = useHealth()
  const answered = useAnswer("/api/v1/explore/top", { by: "exporter", last: "1h", limit: 200 }, { everyMs: EVERY_MS })
  const isAdministrator = session.roles.includes("Administrator")
  return html`<div class="page-head"><h1>First steps</h1></div>
    ${isAdministrator ? html`<${Panel} title="Before that"><ul class="plain">
      <li><${Link} to=${address("account")}>Change the password<//> that was printed at the first start.</li>
      <li><${Link} to=${address("users")}>Add the people<//> who may look; whoever has the role User changes nothing.</li></ul><//>` : null}
    ${health.data ? html`<${Recipes} listen=${health.data.collector.listen} />` : null}
    <${Panel} title="How far flows come" note="looked at every five seconds">
      ${health.error && !health.data ? html`<${Failure} error=${health.error} retry=${health.reload} />`
        : health.data ? html`<${Chains} report=${health.data} answered=${answered} />` : html`<${Skeleton} lines=${4} />`}<//>
    <${Naming} />`
}

/** What would make answers say more of addresses, as far as it is not configured. */
function Naming() {
  const names = useAnswer("/api/v1/names").data
  if (!names) return null
  const missing = [
    names.networks.length ? null : html`<li><b>Your networks</b>: with the setting <code>networks</code> flows have network, site and role of both sides, and say whether they go in, out, through or stay inside.
      <${Copyable} text=${NETWORKS_SAMPLE} /></li>`,
    names.as_database ? null : html`<li><b>AS</b>: <code>names.as_database</code> names a file such as GeoLite2-ASN.mmdb, for exporters that say no AS, and for the names of AS.</li>`,
    names.country_database ? null : html`<li><b>Countries</b>: <code>names.country_database</code> names a file such as GeoLite2-Country.mmdb.</li>`,
  ].filter(Boolean)
  if (!missing.length) return null
  return html`<${Panel} title="Names for addresses" note="in conf/appliance.yml; they count for flows from the next start of the collector on"><ul class="hints">${missing}</ul>
    <p class="note below">More in the <a href="/manual/ask">manual</a>.</p><//>`
}

const NETWORKS_SAMPLE = `networks:
  - name: office
    prefixes: [192.0.2.0/24, "2001:db8::/32"]
    site: Vienna
    role: users
`

/** The port of the first of some listening addresses. @param {string[] | undefined} listen */
function portOf(listen) {
  return listen?.[0]?.match(/:([0-9]+)$/)?.[1] ?? DEFAULT_PORT
}

/** @param {string} address */
function withoutBrackets(address) {
  return address.replace(/^\[|\]$/g, "")
}

/** @param {{listen?: string[]}} props */
function Recipes({ listen }) {
  const isLoopback = LOOPBACK.test(location.hostname)
  const [own, setOwn] = useState(isLoopback ? "" : withoutBrackets(location.hostname))
  const [name, setName] = useState(RECIPES[0].name)
  const recipe = RECIPES.find((one) => one.name === name) ?? RECIPES[0]
  const port = portOf(listen)
  const shown = own || "ADDRESS"
  return html`<${Panel} title="Make a device send flows" note=${`to UDP port ${port}${listen ? "" : ", the usual one, as the collector does not run"}; NetFlow v5, v9 and IPFIX alike`}>
    <div class="pair"><${Field} title="Device" value=${name} onInput=${setName} options=${RECIPES.map((one) => [one.name, one.name])} />
      <${Field} title="Address of this box" value=${own} onInput=${(text) => setOwn(withoutBrackets(text.trim()))} placeholder="192.0.2.10" spellcheck="false"
        help=${isLoopback && !own ? "Under which the devices reach it; your browser came over loopback" : "As the devices reach it"} /></div>
    ${recipe.text ? html`<${Copyable} text=${recipe.text(shown, port)} />` : null}
    ${recipe.steps ? html`<ol class="hints">${recipe.steps(shown, port).map((step) => html`<li key=${step}>${step}</li>`)}</ol>` : null}
    ${recipe.note ? html`<p class="below">${recipe.note}</p>` : null}
    <p class="note below">${recipe.checked[0].toUpperCase() + recipe.checked.slice(1)}. More in the <a href="/manual/exporters">manual</a>.</p><//>`
}

/** @param {{report: any, answered: any}} props */
function Chains({ report, answered }) {
  const { collector, exporters } = report
  if (!collector.running) return html`<p class="problem">The collector does not run. <${Link} to=${address("collector")}>Start it<//></p>`
  if (!exporters.length) return html`<${Nothing} collector=${collector} />`
  const octets = new Map((answered.data?.rows ?? []).map((row) => [row.exporter_address, row.octets]))
  const latest = [...exporters].sort((one, other) => other.last_seen - one.last_seen).slice(0, MOST_EXPORTERS)
  return html`<ul class="chains">${latest.map((exporter) => html`<${Chain} key=${exporter.address} exporter=${exporter}
      steps=${stepsOf(exporter, report, answered.data ? (octets.get(exporter.address) ?? 0) : null)} />`)}</ul>
    ${exporters.length > latest.length ? html`<p class="note">These are the ${latest.length} that sent last; <${Link} to=${address("exporters")}>all ${whole(exporters.length)}<//></p>` : null}`
}

/** @param {{collector: any}} props */
function Nothing({ collector }) {
  const port = portOf(collector.listen)
  return html`<p><${Light} tone="warn">waiting<//> No datagram has arrived at ${(collector.listen ?? []).join(", ")} yet.</p>
    <ol class="hints"><li>Does it arrive at this machine? <code>tcpdump -ni any udp port ${port}</code> in its terminal shows it.</li>
      <li>If not: is the address in the device's configuration this machine's, is there a route, does a firewall between drop UDP port ${port}?</li>
      <li>If it does: a firewall on this machine drops it, or <code>collector.allowed_exporters</code> does not name the device.</li>
      <li>A flow is told when it ends or at its active timeout: wait a minute, and make some traffic.</li></ol>`
}

/**
 * How far the flows of an exporter come: each step with its state, and what to do where it stops.
 * @param {any} exporter @param {any} report @param {number | null} octets in answers of the last hour; null: not known yet
 * @returns {{name: string, tone: string, text: string, help?: string}[]}
 */
export function stepsOf(exporter, report, octets) {
  const { counts } = exporter
  const records = counts.records ?? 0
  const silentMs = Date.now() - exporter.last_seen * 1000
  const lost = report.collector.losses?.records_dropped_by_log ?? 0
  const lag = report.loader.lag_seconds
  const arriving = silentMs > SILENT_MS
    ? { tone: "bad", text: `the last ${age(silentMs)}`, help: "Nothing has come for five minutes: is the device up, does it still route here, does a firewall drop UDP?" }
    : { tone: "good", text: `${whole(counts.datagrams)} datagrams` }
  const decoded = counts.malformed
    ? { tone: "warn", text: `${whole(counts.malformed)} unreadable`, help: "Some datagrams are no NetFlow, or broken ones. The page Exporters explains a capture of them." }
    : { tone: counts.datagrams ? "good" : "off", text: records ? `${whole(records)} records` : "no record yet" }
  const template = exporter.waiting_octets > 0
    ? { tone: "warn", text: "data wait for their template", help: "Devices repeat templates by time or by packets. Set the refresh to a minute (Cisco: template data timeout 60)." }
    : { tone: "good", text: exporter.templates ? `${whole(exporter.templates)} templates` : "none needed" }
  // What answers hold was stored, also before the collector's last start.
  const stored = !records && !octets ? { tone: "off", text: "nothing yet", help: "Datagrams came, and no flow in them: options only, or templates only. Make some traffic and wait a minute." }
    : lost ? { tone: "warn", text: `${whole(lost)} records dropped`, help: "The flow log could not keep up, or the disk is full: see the page Collector." }
      : { tone: "good", text: "in the flow log" }
  return [
    { name: "arriving", ...arriving }, { name: "decoded", ...decoded }, { name: "templates", ...template },
    { name: "stored", ...stored }, { name: "in answers", ...answeredOf(records, octets, lag) },
  ]
}

function answeredOf(records, octets, lag) {
  if (octets) return { tone: "good", text: "in the last hour" }
  if (octets === null || !records) return { tone: "off", text: octets === null ? "being asked" : "nothing yet" }
  if (lag === null) return { tone: "bad", text: "the database does not answer", help: "Flows are kept in the flow log until it does. The page Collector says which database." }
  return { tone: "warn", text: "not yet", help: lag > 30 ? "Answers are behind; they catch up by themselves." : "Either it sent nothing for an hour, or its clock is wrong and its flows lie at another time: see the page Exporters." }
}

/** @param {{exporter: any, steps: any[]}} props */
function Chain({ exporter, steps }) {
  const stop = steps.find((step) => step.help)
  return html`<li><p><${Link} to=${address(`exporters/${exporter.address}`)}><b>${exporter.address}</b><//></p>
    <ol class="chain">${steps.map((step) => html`<li key=${step.name}><${Light} tone=${step.tone}>${step.name}<//><span class="note">${step.text}</span></li>`)}</ol>
    ${stop ? html`<p class="note">${stop.help}</p>` : null}</li>`
}
