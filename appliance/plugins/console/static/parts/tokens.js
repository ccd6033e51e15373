/** API tokens: made, shown once, ended. */
import { html, useState } from "../base.js"
import { send, useAnswer } from "../api.js"
import { dateTime } from "../times.js"
import { Panel, Shown } from "./state.js"
import { Table } from "./table.js"
import { Confirm, Dialog } from "./dialog.js"
import { Copyable, Field, notify, useForm } from "./form.js"

const PATH = "/api/v1/admin/token"
const LIFETIMES = /** @type {[string, string][]} */ ([["30d", "30 days"], ["90d", "90 days"], ["365d", "a year"], ["", "no end"]])
const ROLES = /** @type {[string, string][]} */ ([["User", "User: looks"], ["Administrator", "Administrator: changes things"]])

/**
 * The tokens of everybody, or of one account.
 * @param {{users?: any[], account?: number | null}} props
 */
export function Tokens({ users = [], account = null }) {
  const answer = useAnswer(PATH)
  const [isMaking, setMaking] = useState(false)
  const [ending, setEnding] = useState(/** @type {any} */ (null))
  const names = new Map(users.map((user) => [user.userId, user.username]))
  const columns = [
    { key: "name", title: "name", className: "grow", show: (token) => html`<b dir="auto">${token.name}</b>` },
    { key: "role", title: "role", show: (token) => html`<span class="tag">${token.role}</span>` },
    ...(account === null ? [{ key: "userId", title: "made by", value: (token) => names.get(token.userId), show: (token) => names.get(token.userId) ?? "–" }] : []),
    { key: "created", title: "made", show: (token) => dateTime(token.created) },
    { key: "expires", title: "ends", show: (token) => (token.expires ? dateTime(token.expires) : "never") },
    { key: "end", title: html`<span class="hidden">Actions</span>`, isFixed: true, show: (token) => html`<button type="button" class="quiet" aria-label=${`End ${token.name}`} onClick=${() => setEnding(token)}>End</button>` },
  ]
  const tools = html`<button type="button" onClick=${() => setMaking(true)}>Make a token …</button>`
  const rows = (data) => data.tokens.filter((token) => account === null || token.userId === account)
  return html`<${Panel} title="API tokens" note="for programs, in the header Authorization: Bearer …" tools=${tools}>
    <${Shown} answer=${answer} isEmpty=${(data) => !rows(data).length} empty="No program has a token">${(data) => html`
      <${Table} caption="API tokens" columns=${columns} rows=${rows(data)} keyOf=${(token) => token.tokenId} sort="name" />`}<//>
    ${isMaking ? html`<${Making} close=${() => setMaking(false)} reload=${answer.reload} />` : null}
    ${ending ? html`<${Confirm} title=${`End the token ${ending.name}?`} action="End it" onClose=${() => setEnding(null)}
      act=${async () => { await send("DELETE", `${PATH}/${ending.tokenId}`); notify(`${ending.name} has ended`); answer.reload() }}>
      <p>The program that uses it is refused from now on.</p><//>` : null}<//>`
}

/** @param {{close: () => void, reload: () => void}} props */
function Making({ close, reload }) {
  const [token, setToken] = useState("")
  const form = useForm({ name: "", role: "User", lifetime: "90d" }, async ({ lifetime, ...values }) => {
    const made = await send("POST", PATH, lifetime ? { ...values, lifetime } : values)
    setToken(made.token)
    reload()
  }, { name: /name/i })
  if (token) {
    return html`<${Dialog} title=${`The token of ${form.values.name}`} onClose=${close}>
      <p>Copy it now: it is shown this once.</p><${Copyable} text=${token} label="Copy the token" />
      <div class="row below"><button type="button" class="primary" onClick=${close}>Done</button></div><//>`
  }
  return html`<${Dialog} title="Make an API token" onClose=${close}><form onSubmit=${form.submit} autocomplete="off">
    <${Field} title="Name" ...${form.field("name")} help="What it is for, such as grafana" required autofocus />
    <div class="pair"><${Field} title="Role" options=${ROLES} ...${form.field("role")} /><${Field} title="Lives for" options=${LIFETIMES} ...${form.field("lifetime")} /></div>
    ${form.problem ? html`<p class="problem" role="alert">${form.problem}</p>` : null}
    <div class="row"><button class="primary" disabled=${form.isBusy}>Make it</button><button type="button" onClick=${close}>Cancel</button></div></form><//>`
}
