/** Who may sign in, which programs have a token, and who changed what. */
import { html, useState } from "../base.js"
import { ApiError, get, send, useAnswer, withQuery } from "../api.js"
import { dateTime } from "../times.js"
import { Failure, Light, Panel, Shown } from "../parts/state.js"
import { Table } from "../parts/table.js"
import { Confirm, Dialog } from "../parts/dialog.js"
import { FilterBox } from "../parts/filter.js"
import { Field, notify, useForm } from "../parts/form.js"
import { Sessions } from "../parts/sessions.js"
import { Tokens } from "../parts/tokens.js"

const PATH = "/api/v1/admin/user"
const ACCOUNT_PATH = "/api/v1/admin/account"
const AUDIT_PATH = "/api/v1/admin/audit"
const FILTERS_PATH = `${ACCOUNT_PATH}/filters`
const AUDIT_ROWS = 25
/** How the API's sentences name their fields. */
const WORDS = { password: /password/i, username: /user ?name/i, firstname: /first name/i, lastname: /last name/i, email: /email/i }
const BOTH = "An Administrator sees everything: take the role away, or the filter"

export default function Users({ session }) {
  const users = useAnswer(PATH)
  const filters = useAnswer(FILTERS_PATH)
  const boundOf = new Map(filters.data?.filters.map((one) => [one.userId, one]))
  const reload = () => { users.reload(); filters.reload() }
  const [form, setForm] = useState(/** @type {any} */ (null))
  const [opened, setOpened] = useState(/** @type {any} */ (null))
  const [leaving, setLeaving] = useState(/** @type {any} */ (null))
  const columns = [
    { key: "username", title: "name", show: (user) => html`<b>${user.username}</b>${user.userId === session.account ? html` <span class="tag">you</span>` : null}` },
    { key: "role", title: "roles", value: (user) => user.role.join(", "), show: (user) => user.role.length ? user.role.map((role) => html`<span class="tag" key=${role}>${role}</span> `) : html`<span class="note">none: cannot use anything</span>` },
    { key: "filter", title: "limited to", className: "wrap grown", value: (user) => boundOf.get(user.userId)?.filter ?? "", show: (user) => html`<${Bound} bound=${boundOf.get(user.userId)} />` },
    { key: "full", title: "person", className: "grow", value: personOf, show: (user) => html`<span dir="auto">${personOf(user) || "–"}</span>` },
    { key: "email", title: "email", show: (user) => user.email ?? "–" },
    { key: "edit", title: html`<span class="hidden">Actions</span>`, isFixed: true, show: (user) => html`<button type="button" class="quiet" aria-label=${`Edit ${user.username}`} onClick=${() => setForm({ ...user, filter: boundOf.get(user.userId)?.filter ?? "" })} disabled=${!filters.data}>Edit</button>${" "}
      <button type="button" class="quiet" aria-label=${`Sign-in of ${user.username}`} onClick=${() => setOpened(user)}>Sign-in</button>${" "}
      ${user.userId === session.account ? null : html`<button type="button" class="quiet" aria-label=${`Delete ${user.username}`} onClick=${() => setLeaving(user)}>Delete</button>`}` },
  ]
  const close = () => setForm(null)
  return html`<div class="page-head"><h1>Users</h1><div class="tools"><button type="button" class="primary" onClick=${() => setForm({})}>Add a user …</button></div></div>
    <${Panel} title="People" note="Administrators change things, Users look"><${Shown} answer=${users}>${(data) => html`
      <${Table} caption="Users" columns=${columns} rows=${data.users} keyOf=${(user) => user.userId} sort="username" />`}<//><//>
    <${Tokens} users=${users.data?.users ?? []} />
    <${Audit} />
    ${form ? html`<${UserDialog} key=${form.userId ?? "new"} user=${form} isOwn=${form.userId === session.account} close=${close} reload=${reload} />` : null}
    ${opened ? html`<${SignInDialog} user=${opened} close=${() => setOpened(null)} />` : null}
    ${leaving ? html`<${Confirm} title=${`Delete ${leaving.username}?`} action="Delete" onClose=${() => setLeaving(null)}
      act=${async () => { await send("DELETE", `${PATH}/${leaving.userId}`); notify(`${leaving.username} is deleted`); users.reload() }}>
      <p>The account, its roles and its tokens go at once. What it did stays in the audit trail.</p><//>` : null}`
}

/** What a user is limited to, and what is wrong with it. */
function Bound({ bound }) {
  if (!bound) return html`<span class="note">–</span>`
  return html`<code>${bound.filter}</code>${bound.problem ? html` <${Light} tone="bad">sees nothing: ${bound.problem}<//>` : null}`
}

/** How somebody signs in, and where they are. @param {{user: any, close: () => void}} props */
function SignInDialog({ user, close }) {
  const path = `${ACCOUNT_PATH}/${user.userId}`
  const totp = useAnswer(`${path}/totp`)
  const [isAsking, setAsking] = useState(false)
  return html`<${Dialog} title=${`Sign-in of ${user.username}`} onClose=${close}>
    <h3>Second factor</h3>
    <${Shown} answer=${totp} lines=${1}>${(data) => (data.on
      ? html`<div class="row"><span>It is on, with ${data.recovery_codes} recovery codes left.</span><button type="button" onClick=${() => setAsking(true)}>Turn it off …</button></div>`
      : html`<p class="note">It is off. ${user.username} turns it on at <i>Your account</i>.</p>`)}<//>
    <h3>Sessions</h3><${Sessions} path=${path} />
    <div class="row below"><button type="button" class="primary" onClick=${close} autofocus>Close</button></div>
    ${isAsking ? html`<${Confirm} title=${`Turn the second factor of ${user.username} off?`} action="Turn it off" onClose=${() => setAsking(false)}
      act=${async () => { await send("DELETE", `${path}/totp`); notify(`The second factor of ${user.username} is off`); totp.reload() }}>
      <p>From now on the password alone is enough. Make sure that it is really ${user.username} who asks.</p><//>` : null}<//>`
}

/** @param {any} user */
function personOf(user) {
  return [user.firstname, user.lastname].filter(Boolean).join(" ")
}

const ROLES = ["User", "Administrator"]

/** @param {{user: any, isOwn: boolean, close: () => void, reload: () => void}} props */
function UserDialog({ user, isOwn, close, reload }) {
  const isNew = user.userId === undefined
  const [roles, setRoles] = useState(/** @type {string[]} */ (user.role ?? ["User"]))
  const names = [...Object.keys(WORDS), "filter"]
  const initial = Object.fromEntries(names.map((name) => [name, name === "password" ? "" : (user[name] ?? "")]))
  const form = useForm(initial, async (values) => {
    if (values.filter.trim() && roles.includes("Administrator")) throw new ApiError(409, `filter: ${BOTH}`, { message: `filter: ${BOTH}` })
    if (isNew) await addUser(values, roles)
    else await changeUser(user, initial, values, roles)
    notify(isNew ? `${values.username} is added` : `${values.username} is saved`)
    reload()
    close()
  }, WORDS)
  const toggle = (role) => setRoles(roles.includes(role) ? roles.filter((one) => one !== role) : [...roles, role])
  return html`<${Dialog} title=${isNew ? "Add a user" : `Edit ${user.username}`} onClose=${close}><form onSubmit=${form.submit} autocomplete="off">
    <${Field} title="Name to sign in with" ...${form.field("username")} required autocomplete="off" autocapitalize="off" spellcheck="false" autofocus />
    <${Field} title="Password" type="password" ...${form.field("password")} required=${isNew} autocomplete="new-password"
      placeholder=${isNew ? "" : "unchanged"} help="Ten characters or more, of three kinds: small and capital letters, digits, others" />
    <fieldset><legend>Roles</legend>${ROLES.map((role) => html`<label class="check" key=${role}><input type="checkbox" checked=${roles.includes(role)}
      disabled=${isOwn && role === "Administrator"} onChange=${() => toggle(role)} /> ${role} <span class="note">${role === "User" ? "sees traffic, exporters and health" : "also changes everything"}</span></label>`)}</fieldset>
    <div class="field"><b>Limited to</b><${FilterBox} value=${initial.filter} onText=${form.field("filter").onInput} problem=${form.problems.filter} placeholder="everything, or such as ip 192.0.2.0/24" />
      <p class="note">Sees nothing but flows that satisfy this filter, from the next request on.</p></div>
    <div class="pair"><${Field} title="First name" ...${form.field("firstname")} dir="auto" /><${Field} title="Last name" ...${form.field("lastname")} dir="auto" /></div>
    <${Field} title="Email" type="email" ...${form.field("email")} />
    ${form.problem ? html`<p class="problem" role="alert">${form.problem}</p>` : null}
    <div class="row"><button class="primary" disabled=${form.isBusy}>${isNew ? "Add" : "Save"}</button><button type="button" onClick=${close}>Cancel</button></div></form><//>`
}

/** Roles are given once the account is there: the API makes accounts without any. */
async function addUser(values, roles) {
  await send("POST", PATH, values)
  const { users } = await get(PATH)
  const made = users.find((one) => one.username === values.username)
  const missing = roles.filter((role) => !made.role.includes(role))
  const surplus = made.role.filter((role) => !roles.includes(role))
  if (missing.length || surplus.length) await send("PUT", `${PATH}/${made.userId}`, { addRole: missing, deleteRole: surplus })
}

/** @param {any} user @param {any} initial @param {any} form @param {string[]} roles */
async function changeUser(user, initial, form, roles) {
  const { filter, ...values } = form
  const path = `${ACCOUNT_PATH}/${user.userId}/filter`
  // A filter goes before the user becomes an administrator, and comes after the user was one.
  if (initial.filter && !filter.trim()) await send("DELETE", path)
  const wasAdministrator = user.role.includes("Administrator")
  const bind = async () => filter.trim() && filter.trim() !== initial.filter && send("PUT", path, { filter })
  if (!wasAdministrator) await bind()
  await changeValues(user, initial, values, roles)
  if (wasAdministrator) await bind()
}

async function changeValues(user, initial, values, roles) {
  const changes = /** @type {Record<string, any>} */ (Object.fromEntries(Object.entries(values).filter(([name, value]) => value !== initial[name])))
  const added = roles.filter((role) => !user.role.includes(role))
  const deleted = user.role.filter((role) => !roles.includes(role))
  if (added.length) changes.addRole = added
  if (deleted.length) changes.deleteRole = deleted
  if (Object.keys(changes).length) await send("PUT", `${PATH}/${user.userId}`, changes)
}

const TONES = { done: "good", begun: "warn", refused: "warn", failed: "bad" }

function Audit() {
  const newest = useAnswer(AUDIT_PATH, { limit: AUDIT_ROWS })
  const [older, setOlder] = useState({ of: /** @type {any} */ (null), rows: /** @type {any[]} */ ([]), next: null, error: /** @type {any} */ (null) })
  const own = older.of === newest.data ? older : { rows: [], next: newest.data?.next ?? null, error: null }
  const more = async () => {
    try {
      const page = await get(AUDIT_PATH, { limit: AUDIT_ROWS, before: own.next })
      setOlder({ of: newest.data, rows: [...own.rows, ...page.audit], next: page.next, error: null })
    } catch (error) {
      setOlder({ of: newest.data, rows: own.rows, next: own.next, error })
    }
  }
  const columns = [
    { key: "time", title: "when", show: (row) => html`<time datetime=${row.time}>${dateTime(row.time)}</time>` },
    { key: "who", title: "who", show: (row) => html`<b dir="auto">${row.who}</b>` },
    { key: "address", title: "from" },
    { key: "action", title: "what", show: (row) => html`<code>${row.action}</code>` },
    { key: "detail", title: "detail", className: "wrap", show: (row) => html`<span dir="auto">${row.detail}</span>` },
    { key: "result", title: "result", show: (row) => html`<${Light} tone=${TONES[row.result]}>${row.result}<//>${row.status && row.status >= 400 ? html` <span class="note">${row.status}</span>` : null}` },
  ].map((column) => ({ ...column, isFixed: true }))
  const tools = html`<a href=${withQuery(AUDIT_PATH, { limit: 1000 })} download="audit.json">as JSON</a>`
  return html`<${Panel} title="Audit trail" note="who changed what, newest first" tools=${tools}><${Shown} answer=${newest} isEmpty=${(data) => !data.audit.length} empty="Nothing was changed yet">${(data) => html`
    <${Table} caption="Audit trail" columns=${columns} rows=${[...data.audit, ...own.rows]} keyOf=${(row) => row.auditId} />
    ${own.error ? html`<${Failure} error=${own.error} />` : null}
    ${own.next !== null ? html`<div class="row below"><button type="button" onClick=${more}>Show older</button></div>` : null}`}<//><//>`
}
