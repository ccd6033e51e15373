/** How one exporter is asked by SNMP: as the settings say, by credentials of its own, or not; and what it sends without being asked. */
import { html, useEffect, useState } from "../../base.js"
import { send, useAnswer } from "../../api.js"
import { dateTime } from "../../times.js"
import { whole } from "../../units.js"
import { Light, Panel, Shown } from "../../parts/state.js"
import { Field, notify, useForm } from "../../parts/form.js"

const WAYS = /** @type {[string, string][]} */ ([["settings", "as the settings say"], ["own", "with credentials of its own"], ["off", "not at all"]])
const PROTOCOLS = { auth: ["sha", "sha224", "sha256", "sha384", "sha512", "md5"], privacy: ["aes", "aes192", "aes256", "aes192c", "aes256c", "des"] }
const SECRETS = ["community", "auth_key", "privacy_key"]

/** @param {{exporter: any}} props */
export function Snmp({ exporter }) {
  const path = `/api/v1/exporters/${exporter.id}/snmp`
  const agent = useAnswer(path)
  return html`<${Panel} title="SNMP" note="names, speeds and counters of its interfaces"><${Shown} answer=${agent} lines=${3}>${(data) => html`
    <p class="note"><${Light} tone=${toneOf(data)}>${data.is_asked ? "asked" : "not asked"}<//> ${stateOf(data)}</p>
    ${data.sent_counters ? html`<p class="note"><${Light} tone="good">by ${data.sent_counters.by}<//> ${sentOf(data.sent_counters)}</p>` : null}
    <${Form} key=${JSON.stringify(data.values)} agent=${data} path=${path} reload=${agent.reload} />`}<//><//>`
}

function toneOf(agent) {
  if (!agent.is_asked) return "off"
  return agent.last_read ? "good" : "warn"
}

function stateOf(agent) {
  if (!agent.is_asked) return agent.is_own ? "as set here" : "the settings have no credentials, or it is not in snmp.networks"
  if (agent.last_read) return `answered ${dateTime(agent.last_read)}, ${whole(agent.interfaces)} interfaces`
  return agent.is_polled ? "every few minutes, and has not answered yet" : "from the next start of the collector on"
}

function sentOf({ interfaces, last_sent: last }) {
  return `it sends counters of ${interfaces === 1 ? "an interface" : `${whole(interfaces)} interfaces`} itself, the last kept is of ${dateTime(last)}`
}

function wayOf(agent) {
  if (!agent.is_own) return "settings"
  return agent.is_asked ? "own" : "off"
}

function Form({ agent, path, reload }) {
  const [way, setWay] = useState(wayOf(agent))
  useEffect(() => setWay(wayOf(agent)), [agent])
  const had = agent.values
  const initial = { version: had.version ?? "2c", user: had.user ?? "", auth_protocol: had.auth_protocol ?? "sha", privacy_protocol: had.privacy_protocol ?? "aes",
    port: had.port ?? "", address: had.address ?? "", community: "", auth_key: "", privacy_key: "" }
  const form = useForm(initial, async (values) => {
    if (way === "settings") await send("DELETE", path)
    else if (way === "off") await send("PUT", path, { is_asked: false })
    else await send("PUT", path, Object.fromEntries(Object.entries(values).filter(([name, value]) => value !== "" || (!SECRETS.includes(name) && had[name]))))
    notify("Saved")
    reload()
  })
  const secret = (name, title) => html`<${Field} title=${title} type="password" ...${form.field(name)} autocomplete="new-password" placeholder=${had[`has_${name}`] ? "unchanged" : ""} />`
  const choice = (name, title, words) => html`<${Field} title=${title} ...${form.field(name)} options=${words.map((word) => [word, word])} />`
  const isThird = form.values.version === "3"
  return html`<form onSubmit=${form.submit} autocomplete="off">
    <${Field} title="It is asked" value=${way} onInput=${setWay} options=${WAYS} />
    ${way === "own" ? html`<div class="pair">${choice("version", "Version", ["2c", "3"])}
        ${isThird ? html`<${Field} title="User" ...${form.field("user")} autocomplete="off" />` : secret("community", "Community")}</div>
      ${isThird ? html`<div class="pair">${choice("auth_protocol", "Authentication", PROTOCOLS.auth)}${secret("auth_key", "Its password, authentication")}</div>
        <div class="pair">${choice("privacy_protocol", "Encryption", PROTOCOLS.privacy)}${secret("privacy_key", "Its password, encryption")}</div>` : null}
      <div class="pair"><${Field} title="Port" ...${form.field("port")} inputmode="numeric" placeholder="as for the others" /><${Field} title="At another address" ...${form.field("address")} placeholder=${agent.exporter} /></div>` : null}
    ${form.problem ? html`<p class="problem" role="alert">${form.problem}</p>` : null}
    <div class="row"><button class="primary" disabled=${form.isBusy}>Save</button></div></form>`
}
