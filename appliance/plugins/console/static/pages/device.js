/** The machine: its figures, its network, restart and shutdown. */
import { html, useEffect, useRef, useState } from "../base.js"
import { send, useAnswer } from "../api.js"
import { dateTime, span } from "../times.js"
import { binary, percent } from "../units.js"
import { Light, Panel, Shown } from "../parts/state.js"
import { Confirm } from "../parts/dialog.js"
import { Field, notify, useForm } from "../parts/form.js"
import { Sparkline } from "../parts/chart.js"

const PATH = "/api/v1/admin/device"
const EVERY_MS = 5000
const CHANGE_EVERY_MS = 2000
const MOST_SAMPLES = 120
const NOT_SUPPORTED = 501
const MB = 2 ** 20

export default function Device({ session }) {
  const stats = useAnswer(`${PATH}/devStats`, {}, { everyMs: EVERY_MS })
  const network = useAnswer(`${PATH}/network`)
  const change = useAnswer(`${PATH}/network/change`, {}, { everyMs: CHANGE_EVERY_MS })
  return html`<div class="page-head"><h1>Device</h1><span class="note">${session.hostname}</span></div>
    <${Shown} answer=${stats}>${(data) => html`<${System} stats=${data} />`}<//>
    <${Change} answer=${change} reload=${network.reload} />
    <div class="grid two">
      <${Panel} title="Network"><${Shown} answer=${network}>${(data) => html`<${Network} network=${data} reload=${network.reload} />`}<//><//>
      <${Panel} title="Power"><${Shown} answer=${change} lines=${2}>${(data) => html`<${Power} name=${session.hostname} isManaged=${data.managed} />`}<//><//>
    </div>`
}

/** The last values of a figure, one for each answer. */
function useSamples(stats, value) {
  const kept = useRef({ stats: null, values: /** @type {number[]} */ ([]) })
  if (kept.current.stats !== stats) {
    kept.current = { stats, values: [...kept.current.values, value(stats)].slice(-MOST_SAMPLES) }
  }
  return kept.current.values
}

function System({ stats }) {
  const loads = useSamples(stats, (one) => one.cpuLoad[0])
  const memory = useSamples(stats, (one) => one.usedMemory)
  const [one, five, fifteen] = stats.cpuLoad
  const facts = [
    ["Name", stats.hostname], ["System", `${stats.os} ${stats.kernel}`],
    ["Python", stats.pythonVersion], ["Up for", span(stats.uptime)],
  ]
  const disk = 1 - stats.availableStorage / stats.totalStorage
  return html`<div class="grid four">
    <${Panel} title="System"><dl class="facts">${facts.map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}</dl><//>
    <${Panel} title="Load" note="1, 5 and 15 minutes"><p class="big">${one.toFixed(2)} <span class="note">${five.toFixed(2)} · ${fifteen.toFixed(2)}</span></p>
      <${Sparkline} values=${loads} label=${`Load since this page was opened, now ${one.toFixed(2)}`} /><//>
    <${Panel} title="Memory"><p class="big">${binary(stats.usedMemory)} <span class="note">used of ${binary(stats.totalMemory)}</span></p>
      <${Meter} share=${stats.usedMemory / stats.totalMemory} name="Memory" />
      <${Sparkline} values=${memory} label=${`Memory since this page was opened, now ${binary(stats.usedMemory)}`} /><//>
    <${Panel} title="Disk" note="the root file system"><p class="big">${binary(stats.availableStorage * MB)} <span class="note">free of ${binary(stats.totalStorage * MB)}</span></p>
      <${Meter} share=${disk} name="Disk" /><//></div>`
}

function Meter({ share, name }) {
  return html`<span class="meter" role="img" aria-label=${`${name}, ${percent(share, 0)} used`}><i style=${{ width: percentOf(share) }}></i></span>`
}

/** @param {number} share */
function percentOf(share) {
  return `${(Math.min(1, Math.max(0, share)) * 100).toFixed(1)}%`
}

function Network({ network, reload }) {
  const servers = network.dnsServers.map((one) => one.server)
  const facts = [
    ["Interface", `${network.name}, ${network.type.toLowerCase()}`],
    ["Address", network.ip_address ?? "none"], ["Netmask", network.netmask ?? "–"], ["Gateway", network.gateway_ip ?? "none"],
    ["Hardware address", network.mac_address ?? "–"], ["Name servers", servers.join(", ") || "none"],
    ["Comes from", { static: "fixed settings", dhcp: "DHCP" }[network.networkType] ?? "settings that are not managed here"],
  ]
  return html`<dl class="facts">${facts.map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}</dl>
    ${network.networkType === "ERROR"
      ? html`<p class="note below">The console cannot change this network: ${network.message}.</p>`
      : html`<${NetworkForm} network=${network} servers=${servers} reload=${reload} />`}`
}

/** @param {{network: any, servers: string[], reload: () => void}} props */
function NetworkForm({ network, servers, reload }) {
  const [isOpen, setOpen] = useState(false)
  const [isAsking, setAsking] = useState(false)
  const [refusal, setRefusal] = useState("")
  const initial = {
    state: network.networkType, ipaddress: network.ip_address ?? "", netmask: network.netmask ?? "255.255.255.0",
    gateway: network.gateway_ip ?? "", nameserver1: servers[0] ?? "", nameserver2: servers[1] ?? servers[0] ?? "",
  }
  const form = useForm(initial, async () => setAsking(true))
  const values = form.values
  const isStatic = values.state === "static"
  const apply = async () => {
    const body = isStatic ? { ...values, network: networkOf(values.ipaddress, values.netmask) } : { state: "dhcp" }
    try {
      notify((await send("PUT", `${PATH}/network`, body)).message)
    } catch (error) {
      if (error.status !== NOT_SUPPORTED) throw error
      setRefusal(error.message)
      return
    }
    setOpen(false)
    reload()
  }
  if (refusal) return html`<p class="note below">The console cannot change this network: ${refusal}.</p>`
  if (!isOpen) return html`<div class="row below"><button type="button" onClick=${() => setOpen(true)}>Change …</button></div>`
  const address = (title, name, help) => html`<${Field} title=${title} ...${form.field(name)} help=${help} required pattern="[0-9.]+" inputmode="decimal" spellcheck="false" />`
  return html`<form class="below" onSubmit=${form.submit}>
    <${Field} title="Address" ...${form.field("state")} options=${[["static", "fixed"], ["dhcp", "from DHCP"]]} />
    ${isStatic ? html`<div class="pair">${address("IPv4 address", "ipaddress")}${address("Netmask", "netmask")}${address("Gateway", "gateway")}
      ${address("First name server", "nameserver1")}${address("Second name server", "nameserver2")}</div>` : null}
    <div class="row"><button class="primary">Apply …</button><button type="button" onClick=${() => setOpen(false)}>Cancel</button></div></form>
    ${isAsking ? html`<${Confirm} title="Change the network?" action="Change the network" onClose=${() => setAsking(false)} act=${apply}>
      <p><b>You may lose the connection to this box.</b> ${isStatic
        ? html`Its address will be <b>${values.ipaddress}</b>${values.ipaddress === network.ip_address ? " as before" : html`; open <b>${consoleAt(values.ipaddress)}</b> then`}.`
        : html`Its address will be what the DHCP server gives; look there, or at the box's screen.`}</p>
      <p>If neither the gateway answers nor anybody signs in within some minutes, the old settings come back by themselves.</p><//>` : null}`
}

/** @param {string} address */
function consoleAt(address) {
  return `${location.protocol}//${address}${location.port ? `:${location.port}` : ""}/console/device`
}

/** The network that an address is in; empty where it or the mask is no IPv4 address. @param {string} address @param {string} netmask */
export function networkOf(address, netmask) {
  const octets = [address, netmask].map((text) => text.split("."))
  if (octets.some((parts) => parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256))) return ""
  return octets[0].map((part, index) => Number(part) & Number(octets[1][index])).join(".")
}

/** The change of the network under way, or how the last one ended. @param {{answer: any, reload: () => void}} props */
function Change({ answer, reload }) {
  const [isDismissed, setDismissed] = useState(false)
  const change = answer.data
  const state = change?.state
  useEffect(reload, [state])
  if (!change || state === "none" || isDismissed) return null
  const wish = change.wanted?.state === "static" ? change.wanted.ipaddress : "an address from DHCP"
  if (!change.inProgress) {
    return html`<p class="banner is-calm"><${Light} tone=${state === "confirmed" ? "good" : "warn"}>${state}<//> The last change of ${change.interface} to ${wish}, ${dateTime(change.started * 1000)}${change.message ? `: ${change.message}` : ""}.
      <button type="button" class="quiet" onClick=${() => setDismissed(true)}>Hide</button></p>`
  }
  const keep = async () => {
    try {
      notify((await send("POST", `${PATH}/network/change/confirm`)).message)
    } catch (error) {
      notify(error.message, "bad")
    }
    answer.reload()
  }
  return html`<div class="banner" role="status"><p><${Light} tone="warn">${state}<//> ${change.interface} changes to <b>${wish}</b>; it ${change.message}.</p>
    ${change.secondsLeft !== null ? html`<div class="row"><span>The old settings come back in <b class="countdown">${span(change.secondsLeft)}</b>.</span>
      <button type="button" class="primary" onClick=${keep}>Keep the new settings</button></div>` : null}</div>`
}

const ACTS = {
  restart: { title: "Restart", action: "Restart", text: "It is away for a minute or two. What routers send in that time is lost." },
  shutdown: { title: "Switch off", action: "Switch off", text: "It stays off until somebody switches it on by hand. What routers send until then is lost." },
}

/** @param {{name: string, isManaged: boolean}} props */
function Power({ name, isManaged }) {
  const [act, setAct] = useState("")
  const [refusal, setRefusal] = useState("")
  const chosen = ACTS[act]
  const carryOut = async () => {
    try {
      notify((await send("POST", `${PATH}/${act}`)).message)
    } catch (error) {
      if (error.status !== NOT_SUPPORTED) throw error
      setRefusal(error.message)
    }
  }
  if (!isManaged) return html`<p class="note">This machine is not set up as an appliance: the console neither restarts it nor switches it off.</p>`
  return html`${refusal ? html`<p class="note">The console cannot restart this machine or switch it off: ${refusal}.</p>`
      : html`<p class="note">Flows that routers send while the machine is away are lost.</p>
      <div class="row"><button type="button" onClick=${() => setAct("restart")}>Restart …</button><button type="button" onClick=${() => setAct("shutdown")}>Switch off …</button></div>`}
    ${chosen ? html`<${Confirm} title=${`${chosen.title} ${name}?`} action=${chosen.action} word=${name} onClose=${() => setAct("")} act=${carryOut}>
      <p>${chosen.text}</p><//>` : null}`
}
