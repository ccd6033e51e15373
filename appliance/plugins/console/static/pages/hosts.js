/** One page an address: who it talks to, with what, when, over time. */
import { html, useState } from "../base.js"
import { useAnswer } from "../api.js"
import { address, go, Link, useRange } from "../router.js"
import { si, whole } from "../units.js"
import { dateTime } from "../times.js"
import { UntilFirstExporter } from "../parts/health.js"
import { Figure, Panel } from "../parts/state.js"
import { AddressNames } from "../parts/names.js"
import { Tops } from "../parts/tops.js"
import { Traffic } from "../parts/traffic.js"
import { Flows } from "./explore/flows.js"

const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/
const IPV6 = /^[0-9a-f:.]+$/i

/** @param {string} text */
export function isAddress(text) {
  return IPV4.test(text) ? text.split(".").every((part) => Number(part) < 256) : text.includes(":") && IPV6.test(text)
}

export default function Hosts({ rest }) {
  const host = rest[0]
  if (host) return isAddress(host) ? html`<${Host} key=${host} host=${host} />` : html`<p class="empty">${host} is no address</p>`
  return html`<div class="page-head"><h1>Hosts</h1></div><${UntilFirstExporter} /><${Panel}><${Search} /><//>
    <div class="grid two"><${Tops} title="Largest hosts" by="host" limit=${20} /><${Tops} title="Largest networks (/24)" by="source/24" limit=${20} />
    <${Tops} title="Largest AS" by="as" limit=${20} isOptional=${true} /></div>`
}

function Search() {
  const [text, setText] = useState("")
  const [problem, setProblem] = useState("")
  const submit = (event) => {
    event.preventDefault()
    const found = text.trim()
    if (!isAddress(found)) return setProblem("An address, such as 10.0.0.1 or 2001:db8::1")
    return go(address(`hosts/${found}`))
  }
  return html`<form class="row" onSubmit=${submit}><input data-filter aria-label="Address of a host" placeholder="Address of a host" value=${text} onInput=${(event) => setText(event.target.value)} />
    <button class="primary">Look</button>${problem ? html`<span class="problem" role="alert">${problem}</span>` : null}</form>`
}

function Host({ host }) {
  const range = useRange()
  const sent = `src ip ${host}`
  const received = `dst ip ${host}`
  const seen = useAnswer("/api/v1/explore/top", { ...range, filter: `host ${host}`, measures: "conversations,ports" })
  const last = useAnswer("/api/v1/explore/flows", { ...range, filter: `host ${host}`, limit: 1 })
  const [showsFlows, setShowsFlows] = useState(false)
  const totals = seen.data?.rows[0] ?? seen.data?.total
  const newest = last.data?.flows?.[0]
  return html`<div class="page-head"><h1>${host}</h1><div class="tools"><${Link} class="button" to=${address("explore", { filter: `host ${host}`, by: "conversation" })}>Explore<//></div></div>
    <${Traffic} note="received above, sent below" filters=${[received, sent]} height=${260} empty="This host has no flows in this range">${(data) => html`
      <dl class="figures"><${Figure} name="Received, mean" value=${si(data.means[0], "bit/s")} /><${Figure} name="Sent, mean" value=${si(data.means[1], "bit/s")} />
        <${Figure} name="Flows" value=${totals ? whole(totals.flows) : "…"} /><${Figure} name="Conversations" value=${totals?.conversations !== undefined ? `≈ ${whole(totals.conversations)}` : "…"} />
        <${Figure} name="Last seen" value=${newest ? dateTime(newest.collection_time_milliseconds) : "…"} /></dl>`}<//>
    <${AddressNames} host=${host} flow=${newest} />
    <div class="grid two">
      <${Tops} title="Receives from" by="source" filter=${received} /><${Tops} title="Sends to" by="destination" filter=${sent} />
      <${Tops} title="Applications" by="application" filter=${`host ${host}`} /><${Tops} title="Services" by="service" filter=${`host ${host}`} />
      <${Tops} title="AS" by="as" filter=${`host ${host}`} isOptional=${true} />
      <${Tops} title="Seen by" by="interface" filter=${`host ${host}`} /><${Tops} title="Protocols" by="protocol" filter=${`host ${host}`} />
    </div>
    <${Panel} title="Single flows" tools=${html`<button type="button" aria-expanded=${showsFlows} onClick=${() => setShowsFlows(!showsFlows)}>${showsFlows ? "Hide" : "Show"}</button>`}>
      ${showsFlows ? html`<${Flows} range=${range} filter=${`host ${host}`} />` : null}<//>`
}
