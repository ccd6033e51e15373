/** Who may sign in, with which role; tokens of programs; who changed what. */
import { html, useState } from "../base.js"
import { get, send, useAnswer } from "../api.js"
import { dateTime } from "../times.js"
import { Panel, Shown } from "../parts/state.js"
import { Table } from "../parts/table.js"
import { Confirm, Dialog } from "../parts/dialog.js"
import { Copyable, Field, notify, Select } from "../parts/form.js"

const PATH = "/api/v1/admin/user"
const ROLES = ["User", "Administrator"]

export default function Users({ session }) {
  const users = useAnswer(PATH)
  const [shown, setShown] = useState(/** @type {any} */ (null))
  const done = (text) => {
    setShown(null)
    notify(text)
    users.reload()
  }
  const columns = [
    { key: "username", title: "name", show: (row) => html`<b dir="auto">${row.username}</b>${row.userId === session.account ? html` <span class="tag">you</span>` : null}` },
    { key: "full", title: "full name", className: "grow", value: fullName, show: (row) => html`<span dir="auto">${fullName(row)}</span>` },
    { key: "email", title: "e-mail", show: (row) => row.email ?? "" },
    { key: "role", title: "roles", value: (row) => row.role.join(), show: (row) => (row.role.length ? row.role.map((role) => html`<span class="tag" key=${role}>${role}</span> `) : html`<span class="note">none</span>`) },
    { key: "edit", title: "change", isFixed: true, className: "number", show: (row) => html`<button type="button" onClick=${() => setShown({ kind: "edit", user: row })} aria-label=${`Change ${row.username}`}>Change</button>
      <button type="button" disabled=${row.userId === session.account} onClick=${() => setShown({ kind: "delete", user: row })} aria-label=${`Delete ${row.username}`}>Delete</button>` },
  ]
  const add = html`<button type="button" class="primary" onClick=${() => setShown({ kind: "add" })}>Add a user</button>`
  return html`<div class="page-head"><h1>Users</h1><div class="tools">${add}</div></div>
    <${Panel}><${Shown} answer=${users}>${(data) => html`<${Table} caption="Users" columns=${columns} rows=${data.users} keyOf=${(row) => row.userId} sort="username" />`}<//><//>
    <${Tokens} /><${Audit} />
    ${shown?.kind === "add" || shown?.kind === "edit" ? html`<${Form} user=${shown.user} close=${() => setShown(null)} done=${done} />` : null}
    ${shown?.kind === "delete" ? html`<${Confirm} title=${`Delete ${shown.user.username}?`} action="Delete" onClose=${() => setShown(null)}
      act=${async () => { await send("DELETE", `${PATH}/${shown.user.userId}`); done(`${shown.user.username} is deleted`) }}>
      <p>Who is signed in by this name is signed out at once. What the audit trail says of it stays.</p><//>` : null}`
}

function fullName(user) {
  return [user.firstname, user.lastname].filter(Boolean).join(" ")
}

/** @param {{user?: any, close: () => void, done: (text: string) => void}} props */
function Form({ user, close, done }) {
  const [texts, setTexts] = useState({ username: user?.username ?? "", password: "", firstname: user?.firstname ?? "", lastname: user?.lastname ?? "", email: user?.email ?? "" })
  const [role, setRole] = useState(user ? (user.role.includes("Administrator") ? "Administrator" : user.role.length ? "User" : "") : "User")
  const [problem, setProblem] = useState("")
  const field = (name, title, more = {}) => html`<${Field} title=${title} value=${texts[name]} onInput=${(value) => setTexts({ ...texts, [name]: value })} ...${more} />`
  const save = async (event) => {
    event.preventDefault()
    try {
      await (user ? changed(user, texts, role) : added(texts, role))
      done(`${texts.username} is saved`)
    } catch (error) {
      setProblem(error.message)
    }
  }
  return html`<${Dialog} title=${user ? `Change ${user.username}` : "Add a user"} onClose=${close}><form onSubmit=${save}>
    ${field("username", "Name to sign in with", { required: true, autocomplete: "off", autocapitalize: "off", autofocus: true })}
    ${field("password", user ? "New password" : "Password", { type: "password", autocomplete: "new-password", required: !user, help: user ? "Empty: it stays as it is" : "" })}
    ${field("firstname", "First name")}${field("lastname", "Last name")}${field("email", "E-mail", { type: "email" })}
    <${Select} title="Role" value=${role} onInput=${setRole} options=${[["User", "User: sees everything, changes nothing"], ["Administrator", "Administrator"], ["", "none: signs in only"]]} />
    ${problem ? html`<p class="problem" role="alert">${problem}</p>` : null}
    <div class="row"><button class="primary">Save</button><button type="button" onClick=${close}>Cancel</button></div></form><//>`
}

async function added(texts, role) {
  const given = Object.fromEntries(Object.entries(texts).filter(([, value]) => value))
  await send("POST", PATH, given)
  const { users } = await get(PATH)
  const user = users.find((one) => one.username === texts.username)
  if (user) await setRole(user, role)
}

async function changed(user, texts, role) {
  const given = Object.fromEntries(Object.entries(texts).filter(([name, value]) => value !== (user[name] ?? "") && value !== ""))
  if (Object.keys(given).length) await send("PUT", `${PATH}/${user.userId}`, given)
  await setRole(user, role)
}

/** Give a user the roles that one word stands for. */
async function setRole(user, role) {
  const wanted = role === "Administrator" ? ROLES.filter((one) => one === role || user.role.includes(one)) : role ? [role] : []
  for (const one of wanted.filter((name) => !user.role.includes(name))) await send("PUT", `${PATH}/${user.userId}/role/${one}`)
  for (const one of user.role.filter((name) => !wanted.includes(name))) await send("DELETE", `${PATH}/${user.userId}/role/${one}`)
}

function Tokens() {
  const tokens = useAnswer("/api/v1/admin/token")
  const [shown, setShown] = useState(/** @type {any} */ (null))
  const columns = [
    { key: "name", title: "name", className: "grow" }, { key: "role", title: "role" },
    { key: "created", title: "made", show: (row) => dateTime(row.created) }, { key: "expires", title: "ends", show: (row) => dateTime(row.expires) },
    { key: "end", title: "change", isFixed: true, className: "number", show: (row) => html`<button type="button" onClick=${() => setShown({ kind: "end", token: row })} aria-label=${`End the token ${row.name}`}>End</button>` },
  ]
  return html`<${Panel} title="API tokens" note="for programs" tools=${html`<button type="button" onClick=${() => setShown({ kind: "make" })}>Make a token</button>`}>
    <${Shown} answer=${tokens} isEmpty=${(data) => !data.tokens.length} empty="No tokens">${(data) => html`<${Table} caption="API tokens" columns=${columns} rows=${data.tokens} keyOf=${(row) => row.tokenId} />`}<//>
    ${shown?.kind === "make" ? html`<${MakeToken} close=${() => { setShown(null); tokens.reload() }} />` : null}
    ${shown?.kind === "end" ? html`<${Confirm} title=${`End the token ${shown.token.name}?`} action="End it" onClose=${() => setShown(null)}
      act=${async () => { await send("DELETE", `/api/v1/admin/token/${shown.token.tokenId}`); tokens.reload() }}><p>Programs that use it are refused from now on.</p><//>` : null}<//>`
}

function MakeToken({ close }) {
  const [texts, setTexts] = useState({ name: "", role: "User", lifetime: "365d" })
  const [token, setToken] = useState("")
  const [problem, setProblem] = useState("")
  const make = async (event) => {
    event.preventDefault()
    try {
      setToken((await send("POST", "/api/v1/admin/token", texts)).token)
    } catch (error) {
      setProblem(error.message)
    }
  }
  if (token) {
    return html`<${Dialog} title="The token" onClose=${close}><p>It is shown this once. Programs send it as <code>Authorization: Bearer TOKEN</code>.</p><${Copyable} text=${token} />
      <div class="row"><button type="button" class="primary" onClick=${close}>Done</button></div><//>`
  }
  return html`<${Dialog} title="Make a token" onClose=${close}><form onSubmit=${make}>
    <${Field} title="Name" help="What it is for" value=${texts.name} onInput=${(name) => setTexts({ ...texts, name })} required autofocus />
    <${Select} title="Role" value=${texts.role} onInput=${(role) => setTexts({ ...texts, role })} options=${ROLES.map((role) => [role, role])} />
    <${Field} title="Lifetime" help="Such as 8h, 30d, 365d" value=${texts.lifetime} onInput=${(lifetime) => setTexts({ ...texts, lifetime })} problem=${problem} />
    <div class="row"><button class="primary">Make it</button><button type="button" onClick=${close}>Cancel</button></div></form><//>`
}

const PAGE = 20

function Audit() {
  const [before, setBefore] = useState("")
  const answer = useAnswer("/api/v1/admin/audit", { limit: PAGE, before })
  const columns = [
    { key: "time", title: "time", show: (row) => dateTime(row.time) }, { key: "who", title: "who", show: (row) => html`<b dir="auto">${row.who}</b>` },
    { key: "address", title: "from" }, { key: "action", title: "action", className: "wrap" }, { key: "detail", title: "detail", className: "wrap" },
    { key: "result", title: "result", show: (row) => `${row.result} (${row.status})` },
  ].map((column) => ({ ...column, isFixed: true }))
  return html`<${Panel} title="Audit trail" note="who changed what, newest first"><${Shown} answer=${answer} isEmpty=${(data) => !data.audit.length} empty="Nothing yet">${(data) => html`
    <${Table} caption="Audit trail" columns=${columns} rows=${data.audit} keyOf=${(row) => row.auditId} />
    <div class="row below">${before ? html`<button type="button" onClick=${() => setBefore("")}>Newest</button>` : null}
      ${data.next ? html`<button type="button" onClick=${() => setBefore(String(data.next))}>Older</button>` : null}</div>`}<//><//>`
}
