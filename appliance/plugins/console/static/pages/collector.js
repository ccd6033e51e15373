/** The collector: whether it runs, what it counts, and the configuration of its next start. */
import { html, useState } from "../base.js"
import { send, useAnswer } from "../api.js"
import { address, Link } from "../router.js"
import { dateTime, span } from "../times.js"
import { binary, percent, si, whole } from "../units.js"
import { FirstStepsBanner, toneOfStatus, useHealth, usePerSecond } from "../parts/health.js"
import { Figure, Light, Panel, Shown } from "../parts/state.js"
import { Table } from "../parts/table.js"
import { Confirm } from "../parts/dialog.js"
import { Field, notify, useForm } from "../parts/form.js"

const PATH = "/api/v1/admin/collector"

export default function Collector() {
  const health = useHealth()
  const config = useAnswer(`${PATH}/config`)
  const again = () => {
    health.reload()
    config.reload()
  }
  return html`<${Head} health=${health} again=${again} />
    <${Shown} answer=${health}>${(data) => html`<${Figures} report=${data} />`}<//>
    <div class="grid two">
      <${Panel} title="Configuration" note="of the next start"><${Shown} answer=${config}>${(data) => html`
        <${Configuration} config=${data} running=${health.data?.collector} again=${again} />`}<//><//>
      ${health.data ? html`<${Storage} report=${health.data} />` : null}
      ${health.data ? html`<${Events} report=${health.data} />` : null}
    </div>`
}

function Head({ health, again }) {
  const [isStopping, setStopping] = useState(false)
  const [isBusy, setBusy] = useState(false)
  const report = health.data
  const isRunning = report?.collector.running
  const start = async () => {
    setBusy(true)
    try {
      notify((await send("GET", `${PATH}/start`)).message)
    } catch (error) {
      notify(error.message, "bad")
    }
    setBusy(false)
    again()
  }
  return html`<div class="page-head"><h1>Collector</h1>
      ${report ? html`<${Light} tone=${isRunning ? "good" : "bad"}>${isRunning ? "running" : "stopped"}<//>` : null}
      ${isRunning && report.collector.listen ? html`<span class="note">on ${report.collector.listen.join(", ")}, process ${report.collector.pid}</span>` : null}
      <div class="tools row">${isRunning
        ? html`<button type="button" onClick=${() => setStopping(true)}>Stop …</button>`
        : html`<button type="button" class="primary" disabled=${isBusy || !report} onClick=${start}>Start</button>`}</div></div>
    ${report && report.status !== "ok" ? html`<p class="banner" role="status"><${Light} tone=${toneOfStatus(report.status)}>${report.status}<//> ${report.message}</p>` : null}
    ${isRunning && !report.exporters.length ? html`<${FirstStepsBanner} />` : null}
    ${isStopping ? html`<${Confirm} title="Stop the collector?" action="Stop" onClose=${() => setStopping(false)}
      act=${async () => { notify((await send("GET", `${PATH}/stop`)).message); again() }}>
      <p>What routers send while it is stopped is lost. What is stored stays, and answers go on.</p><//>` : null}`
}

function Figures({ report }) {
  const { collector, exporters } = report
  const datagrams = usePerSecond(collector.datagrams)
  const records = usePerSecond(collector.records)
  if (!collector.running || !collector.losses) return null
  const { losses, figures } = collector
  return html`<${Panel} title="Now"><dl class="figures is-first">
      <${Figure} name="Datagrams" value=${si(datagrams, "/s")} note=${`${whole(collector.datagrams)} since its start`} />
      <${Figure} name="Flow records" value=${si(records, "/s")} note=${`${whole(collector.records)} stored since its start`} />
      <${Figure} name="Received" value=${binary(figures.received_octets ?? 0)} />
      <${Loss} name="Lost upstream" count=${losses.lost_records} what="records missing by sequence numbers" />
      <${Loss} name="Kernel drops" count=${losses.kernel_drops} what="datagrams; the collector was too slow" />
      <${Loss} name="Flow log drops" count=${losses.records_dropped_by_log} what="records; the disk was too slow or full" />
      <${Loss} name="Throttled" count=${figures.throttled_datagrams_dropped} what="datagrams over an exporter's share" />
      <${Figure} name="Receive buffer" value=${binary(figures.receive_buffer_octets ?? 0)} note="queue of the socket" />
      <${Figure} name="Exporters" value=${html`<${Link} to=${address("exporters")}>${whole(exporters.length)}<//>`} /></dl>
    ${collector.warnings?.length ? html`<ul class="hints below">${collector.warnings.map((text) => html`<li key=${text}>${text}</li>`)}</ul>` : null}<//>`
}

function Loss({ name, count, what }) {
  if (count === null || count === undefined) return html`<${Figure} name=${name} value="–" note="nobody counts it here" />`
  return html`<${Figure} name=${name} tone=${count ? "is-bad" : ""} value=${count ? whole(count) : "none"} note=${count ? what : undefined} />`
}

const FIELDS = ["collectorIP", "collectorPort", "sqlDB", "sqlHost", "sqlUser"]

/** @param {{config: any, running: any, again: () => void}} props */
function Configuration({ config, running, again }) {
  const saved = Object.fromEntries(FIELDS.map((name) => [name, config[name] === null ? "" : String(config[name])]))
  const form = useForm({ ...saved, sqlPassword: "" }, async (values) => {
    const changes = Object.fromEntries(Object.entries(values).filter(([name, value]) => value !== (saved[name] ?? "")))
    notify((await send("PUT", `${PATH}/config`, changes)).message)
    form.setValues({ ...values, sqlPassword: "" })
    again()
  })
  const isChanged = Object.entries(form.values).some(([name, value]) => value !== (saved[name] ?? ""))
  return html`<${Difference} config=${config} running=${running} again=${again} />
    <form onSubmit=${form.submit} autocomplete="off">
    <div class="pair">
      <${Field} title="Listen on" ...${form.field("collectorIP")} help="An IPv4 address of this machine; 0.0.0.0 is all of them" />
      <${Field} title="UDP port" inputmode="numeric" ...${form.field("collectorPort")} /></div>
    <details open=${Boolean(config.sqlDB)}><summary>MySQL database of pmacct's tables</summary>
      <p class="note">Only where a program reads tables as nfacctd fills them. The console does not need them.</p>
      <div class="pair">
        <${Field} title="Host" ...${form.field("sqlHost")} />
        <${Field} title="Database" ...${form.field("sqlDB")} />
        <${Field} title="User" ...${form.field("sqlUser")} />
        <${Field} title="Password" type="password" autocomplete="new-password" placeholder="unchanged" ...${form.field("sqlPassword")} /></div></details>
    ${form.problem ? html`<p class="problem" role="alert">${form.problem}</p>` : null}
    <div class="row"><button class="primary" disabled=${form.isBusy || !isChanged}>Save</button>
      ${isChanged ? html`<button type="button" onClick=${() => form.setValues({ ...saved, sqlPassword: "" })}>Discard</button>` : null}
      <span class="note">What runs goes on as it is until it is started again.</span></div></form>`
}

/** What runs against what is saved. */
function Difference({ config, running, again }) {
  const [isRestarting, setRestarting] = useState(false)
  if (!running?.running || !running.listen) return null
  const next = `${config.collectorIP}:${config.collectorPort}`
  if (running.listen.includes(next)) return html`<p class="note">What runs listens where the configuration says.</p>`
  const restart = async () => {
    await send("GET", `${PATH}/stop`)
    notify((await send("GET", `${PATH}/start`)).message)
    again()
  }
  return html`<div class="banner"><p>It listens on <b>${running.listen.join(", ")}</b>; the saved configuration says <b>${next}</b>.</p>
      <button type="button" onClick=${() => setRestarting(true)}>Start it again with that …</button></div>
    ${isRestarting ? html`<${Confirm} title="Stop the collector and start it again?" action="Restart the collector" onClose=${() => setRestarting(false)} act=${restart}>
      <p>What routers send in the seconds between is lost. From then on they must send to <b>${next}</b>.</p><//>` : null}`
}

function Storage({ report }) {
  const { loader, disk } = report
  const used = disk.total_octets ? 1 - disk.free_octets / disk.total_octets : 0
  const facts = [
    ["Answers", loader.lag_seconds === null ? "the database does not answer" : loader.lag_seconds < 1 ? "up to date" : `${span(loader.lag_seconds)} behind`],
    ["Database", loader.database ? `${loader.database}, ${loader.name}` : "–"],
    ["Size", loader.octets === undefined ? "–" : `${binary(loader.octets)}, ${loader.rows_are_estimated ? "about " : ""}${whole(loader.rows)} rows`],
    ["Sums since", loader.oldest ? dateTime(loader.oldest * 1000) : "nothing yet"],
    ["Flow log written", binary(report.collector.figures?.log_octets_written ?? 0)],
    ["Disk free", `${binary(disk.free_octets)} of ${binary(disk.total_octets)}`],
  ]
  return html`<${Panel} title="Storage"><dl class="facts">${facts.map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}</dl>
    <p class="below"><span class="meter" role="img" aria-label=${`Disk, ${percent(used, 0)} used`}><i style=${{ width: `${used * 100}%` }}></i></span></p><//>`
}

function Events({ report }) {
  const counts = { ...report.collector.events, ...report.unknown_elements }
  const rows = Object.entries(counts).filter(([, value]) => value).map(([name, value]) => ({ name: name.replaceAll("_", " "), value }))
  const failures = report.plugin_failures.map((one) => `Plugin ${one.plugin} failed ${whole(one.failures)} times (${one.part}, in the ${one.process})`)
  if (!rows.length && !failures.length) return null
  const columns = [{ key: "name", title: "what", className: "grow" }, { key: "value", title: "count", isNumber: true, show: (row) => whole(row.value) }]
  return html`<${Panel} title="Counted" note="since the collector's start">
    ${failures.length ? html`<ul class="hints">${failures.map((text) => html`<li key=${text} class="problem">${text}</li>`)}</ul>` : null}
    <${Table} caption="Counted" columns=${columns} rows=${rows} keyOf=${(row) => row.name} sort="name" /><//>`
}
