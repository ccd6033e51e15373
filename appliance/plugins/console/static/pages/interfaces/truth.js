/** What flows say of an interface beside what it counts itself, and what people call it. */
import { html, useState } from "../../base.js"
import { send, useAnswer } from "../../api.js"
import { binary, percent, si } from "../../units.js"
import { Figure, Light, Panel } from "../../parts/state.js"
import { Confirm } from "../../parts/dialog.js"
import { Field, notify } from "../../parts/form.js"
import { limits } from "../../parts/range.js"

const UNREAD = "not_read"
/** Ranges that have whole five minutes, and not more than the API answers. */
const LEAST_MS = 600_000
const MOST_MS = 5 * 86_400_000
const WORDS = { in: "In", out: "Out" }

/** Flows and counters of both directions; nothing where the range is too short, or the exporter is not known. */
export function Truth({ exporter, number, range }) {
  const [from, to] = limits(range)
  const isFit = to - from >= LEAST_MS && to - from <= MOST_MS
  const { data } = useAnswer(isFit ? `/api/v1/exporters/${exporter}/interfaces/truth` : null, { ...range, interface: number })
  const found = data?.interfaces.find((one) => String(one.number) === number)
  if (!data) return null
  const sides = found ? Object.keys(WORDS).map((key) => ({ key, ...found[key] })) : []
  if (!sides.some((side) => side.reason !== UNREAD)) {
    return html`<${Panel} title="Beside its own counters"><p class="note">There are no counters of this time: SNMP read none, and the exporter sent none by sFlow. Set <code>snmp.community</code>, or a user of version 3, in <code>conf/appliance.yml</code>;
      counters of whole five minutes are compared. <a href="/manual/exporters">More in the manual</a>.</p><//>`
  }
  const sources = [...new Set(sides.flatMap((side) => side.counters_from))].join(" and ")
  return html`<${Panel} title="Beside its own counters" note=${`octets by flows, of those that the interface counts, by ${sources}; whole five minutes`}>
    <dl class="figures">${found.speed ? html`<${Figure} name="Speed" value=${si(found.speed, "bit/s")} />` : null}
      ${found.is_up === null ? null : html`<${Figure} name="State" value=${found.is_up ? "up" : "down"} />`}
      ${sides.map((side) => html`<${Figure} key=${side.key} name=${`${WORDS[side.key]}, flows to counters`} value=${side.ratio === null ? "–" : percent(side.ratio)}
        note=${`${binary(side.flow_octets)} of ${binary(side.counter_octets)}`} />`)}</dl>
    <ul class="plain">${sides.map((side) => html`<li key=${side.key}><b>${WORDS[side.key]}</b> <${Light} tone=${side.reason === "agrees" ? "good" : "warn"}>${side.text}<//></li>`)}</ul><//>`
}

/** A button that gives an interface the name that people use. */
export function Rename({ exporter, number, name, onDone }) {
  const [text, setText] = useState(/** @type {string | null} */ (null))
  const save = async () => {
    await send("POST", `/api/v1/exporters/${exporter}/interfaces/${number}`, { Name: text })
    notify("Saved")
    onDone()
  }
  return html`<button type="button" onClick=${() => setText(name)}>Name …</button>
    ${text === null ? null : html`<${Confirm} title=${`Name of if ${number}`} action="Save" isDangerous=${false} act=${save} onClose=${() => setText(null)}>
      <${Field} title="Name" value=${text} onInput=${setText} maxlength="255" dir="auto" autofocus help="Goes before what the device says of it; nothing takes it away" /><//>`}`
}
