/** First steps: where the chain from the router to the answers stops, and what to type into a router. */
import { html, useState } from "../base.js"
import { useAnswer } from "../api.js"
import { address, Link } from "../router.js"
import { age } from "../times.js"
import { whole } from "../units.js"
import { Light, Panel, Shown } from "../parts/state.js"
import { Table } from "../parts/table.js"
import { Copyable, Field, Select } from "../parts/form.js"
import { filledIn, RECIPES } from "../recipes.js"

const EVERY_MS = 3000

export default function Start() {
  const exporters = useAnswer("/api/v1/exporters", {}, { everyMs: EVERY_MS })
  const health = useAnswer("/api/v1/health", {}, { everyMs: EVERY_MS })
  return html`<div class="page-head"><h1>First steps</h1></div>
    <${Panel} title="From the exporter to the answer" note="asked every three seconds">
      <${Shown} answer=${exporters}>${(data) => (data.exporters.length
        ? html`<${Chain} exporters=${data.exporters} loader=${health.data?.loader} />`
        : html`<p><${Light} tone="warn">Waiting for the first datagram<//></p>
          <p>Nothing has come to ${html`<b>${(health.data?.collector?.listen ?? []).join(" and ") || "the collector"}</b>`} yet. Configure an exporter below, then look here again; if nothing comes,
          look with <code>tcpdump -ni any udp port 2055 or udp port 4739</code> on this machine: what tcpdump does not see, a firewall or the route stops.</p>`)}<//><//>
    <${Recipes} listen=${health.data?.collector?.listen ?? []} />
    <${Panel} title="Then"><ul class="hints">
      <li>Give exporters a name on <${Link} to=${address("exporters")}>Exporters<//>.</li>
      <li>Change the one-time password and add people on <${Link} to=${address("users")}>Users<//>.</li>
      <li>Ask anything on <${Link} to=${address("explore")}>Explore<//>; press <kbd>?</kbd> for the keys.</li></ul><//>`
}

/** @param {any} exporter @param {any} loader */
function stepsOf(exporter, loader) {
  const records = exporter.counts.records ?? 0
  const isWaiting = exporter.sessions.some((session) => session.state === "waiting")
  const lag = loader?.lag_seconds
  return [
    { title: "arriving", isDone: (exporter.counts.datagrams ?? 0) > 0, text: `${whole(exporter.counts.datagrams)} datagrams`, help: "nothing has come since the collector's start" },
    { title: "decoded", isDone: records > 0, text: `${whole(records)} records`, help: isWaiting ? "data wait for their template: let the exporter repeat templates every minute" : "no data yet: is a flow monitor on an interface?" },
    { title: "stored", isDone: records > 0 && loader !== undefined, text: "in the flow log", help: "" },
    { title: "in answers", isDone: records > 0 && lag !== null && lag !== undefined && lag < 60, text: lag === null || lag === undefined ? "" : `${Math.round(lag)} s later`, help: "the loader is behind, or the database is away: see Collector" },
  ]
}

function Chain({ exporters, loader }) {
  const columns = [
    { key: "address", title: "exporter", show: (row) => html`<b>${row.name || row.address}</b>` },
    ...[0, 1, 2, 3].map((index) => ({ key: String(index), title: stepsOf(exporters[0], loader)[index].title, isFixed: true, show: (row) => {
      const steps = stepsOf(row, loader)
      const step = steps[index]
      const isReached = steps.slice(0, index).every((one) => one.isDone)
      return step.isDone ? html`<${Light} tone="good">${step.text}<//>` : html`<${Light} tone=${isReached ? "warn" : "off"}>${isReached ? step.help : "–"}<//>`
    } })),
    { key: "seen", title: "seen", isNumber: true, isFixed: true, show: (row) => (row.last_seen ? age(Date.now() - row.last_seen * 1000) : "never") },
  ]
  return html`<${Table} caption="Exporters and how far their flows get" columns=${columns} rows=${exporters} keyOf=${(row) => row.address} />`
}

const LOOPBACK = /^(localhost|127\.|\[?::1)/

/** @param {{listen: string[]}} props */
function Recipes({ listen }) {
  const [own, setOwn] = useState(LOOPBACK.test(location.hostname) ? "" : location.hostname)
  const [name, setName] = useState(RECIPES[0].name)
  const recipe = RECIPES.find((one) => one.name === name) ?? RECIPES[0]
  const ports = listen.map((text) => Number(text.slice(text.lastIndexOf(":") + 1))).filter(Boolean)
  const port = !ports.length || ports.includes(recipe.port) ? recipe.port : ports[0]
  return html`<${Panel} title="Configure an exporter">
    <div class="asked is-first"><${Select} title="Exporter" value=${name} options=${RECIPES.map((one) => [one.name, one.name])} onInput=${setName} />
      <${Field} title="Address of this appliance, as the exporter reaches it" value=${own} onInput=${setOwn} placeholder="192.0.2.10" /></div>
    <${Copyable} text=${filledIn(recipe, own.trim() || "ADDRESS", port)} />
    <p class="note">${[`Written for ${recipe.version}.`, recipe.note].filter(Boolean).join(" ")} An active timeout of 60 s draws an even curve.</p><//>`
}
