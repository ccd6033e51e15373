/** What is the matter, which rules say so, and an editor for them. */
import {
  Confirm, dateTime, Dialog, Field, FilterBox, html, Light, notify, Panel, send, Shown, si, span, Table, useAnswer, useForm, useRange, useState,
} from "console"

const PATH = "/api/v1/alerts"
/** Of users who are bound to a filter: their own. */
const OWN_PATH = "/api/v1/account/alerts"
const USERS_PATH = "/api/v1/admin/account/alerts"
const TONES = { info: "good", warning: "warn", critical: "bad" }
const REFRESH_MS = 5000
const ROWS = 50
const GROUP_TITLES = { "": "everything together", ingress_interface: "interface, in", egress_interface: "interface, out", source_as: "source AS", destination_as: "destination AS", destination_port: "destination port" }
const CONDITION_TITLES = { above: "at the limit or above", below: "below the limit", utilisation: "percent of the interface's speed, or more", above_baseline: "deviations above the baseline, or more", below_baseline: "deviations below the baseline, or more", new: "at the limit or above, and new" }
/** How the API's sentences name the fields. */
const WORDS = { filter: /^(filter|line \d)/i, name: /^name/i, limit: /^limit/i, clear: /^clear/i, least: /^least/i, window: /^window/i, hold: /^hold/i, quiet: /^quiet/i, text: /^text/i }

export default function Alerts({ session }) {
  const isAdministrator = session.roles.includes("Administrator")
  const mayChange = isAdministrator || Boolean(session.filter)
  const [user, setUser] = useState("")
  const path = session.filter ? OWN_PATH : user ? `/api/v1/admin/account/${user}/alerts` : PATH
  const [isAll, setAll] = useState(false)
  const alerts = useAnswer(path, { limit: ROWS, ...(isAll ? {} : { open: true }) }, { everyMs: REFRESH_MS })
  const [seen, setSeen] = useState(/** @type {any} */ (null))
  const tools = html`<label class="check"><input type="checkbox" checked=${isAll} onChange=${() => setAll(!isAll)} /> those that are over, too</label>`
  return html`<div class="page-head"><h1>Alerts</h1><span class="note">${session.filter ? "about the flows that you see, as they come in" : "looked at as flows come in"}</span>
      ${isAdministrator ? html`<${Whose} user=${user} choose=${setUser} />` : null}</div>
    <${Panel} title=${isAll ? "The newest" : "Open now"} tools=${tools}><${Shown} answer=${alerts} isEmpty=${(data) => !data.alerts.length} empty=${isAll ? "There was no alert yet" : "Nothing is the matter, as far as the rules below say"}>${(data) => html`
      <${Table} caption="Alerts" columns=${columnsOf()} rows=${data.alerts} keyOf=${(row) => row.id} onRow=${setSeen} />`}<//><//>
    <${Rules} key=${path} path=${path} mayChange=${mayChange} />
    ${seen ? html`<${One} path=${path} alert=${seen} mayChange=${mayChange} close=${() => setSeen(null)} reload=${alerts.reload} />` : null}`
}

/** Whose alerts and rules are shown: those of the appliance, or of a user who is bound to a filter. */
function Whose({ user, choose }) {
  const users = useAnswer(USERS_PATH)
  const all = users.data?.users ?? []
  if (!all.length) return null
  const problem = all.find((one) => String(one.userId) === user)?.problem
  return html`<div class="tools">${problem ? html`<${Light} tone="bad">${problem}<//>` : null}
    <label class="select"><span>of</span><select value=${user} aria-label="Whose alerts" onChange=${(event) => choose(event.currentTarget.value)}>
      <option value="">the appliance</option>
      ${all.map((one) => html`<option key=${one.userId} value=${one.userId}>${one.username}${one.open ? ` (${one.open} open)` : ""}</option>`)}</select></label></div>`
}

function columnsOf() {
  return [
    { key: "severity", title: "severity", show: (row) => html`<${Light} tone=${row.ended ? "" : TONES[row.severity]}>${row.severity}<//>` },
    { key: "began", title: "began", show: (row) => html`<time datetime=${row.began}>${dateTime(row.began)}</time>` },
    { key: "ended", title: "lasted", value: lasted, show: (row) => (row.ended ? span(lasted(row)) : html`<b>goes on</b>`) },
    { key: "sentence", title: "what", className: "grow wrap", show: (row) => html`<span dir="auto">${row.sentence}</span>` },
    { key: "acknowledged_by", title: "seen by", show: (row) => row.acknowledged_by ?? html`<span class="note">nobody yet</span>` },
  ]
}

/** In seconds. */
function lasted(row) {
  return (Date.parse(row.ended ?? new Date().toISOString()) - Date.parse(row.began)) / 1000
}

function One({ path, alert, mayChange, close, reload }) {
  const form = useForm({ Comment: alert.comment ?? "" }, async (values) => {
    await send("PUT", `${path}/${alert.id}`, values)
    notify("Noted")
    reload()
    close()
  })
  const columns = [
    { key: "source", title: "source" }, { key: "destination", title: "destination" },
    { key: "destination_port", title: "port", isNumber: true }, { key: "octets", title: "octets", isNumber: true, show: (row) => si(row.octets, "B") },
  ].map((column) => ({ ...column, isFixed: true }))
  return html`<${Dialog} title=${alert.rule} onClose=${close}>
    <p dir="auto">${alert.sentence}</p>
    <p class="note">${dateTime(alert.began)}${alert.ended ? ` to ${dateTime(alert.ended)}` : ", and it goes on"}; worst value ${si(alert.peak)}</p>
    ${alert.evidence.length ? html`<h3>Largest flows at its beginning</h3><${Table} caption="Flows" columns=${columns} rows=${alert.evidence} />` : null}
    ${alert.acknowledged_by ? html`<p>Seen by <b>${alert.acknowledged_by}</b>, ${dateTime(alert.acknowledged_at)}</p>` : null}
    <form onSubmit=${form.submit}>${mayChange ? html`<${Field} title="Comment" ...${form.field("Comment")} maxlength="500" dir="auto" />
      ${form.problem ? html`<p class="problem" role="alert">${form.problem}</p>` : null}` : alert.comment ? html`<p dir="auto">${alert.comment}</p>` : null}
    <div class="row">${mayChange ? html`<button class="primary" disabled=${form.isBusy}>${alert.acknowledged_by ? "Save" : "I have seen it"}</button>` : null}
      <button type="button" onClick=${close}>Close</button></div></form><//>`
}

function Rules({ path, mayChange }) {
  const rules = useAnswer(`${path}/rules`)
  const pathOf = (/** @type {string} */ name) => `${path}/rules/${encodeURIComponent(name)}`
  const [edited, setEdited] = useState(/** @type {any} */ (null))
  const [tried, setTried] = useState(/** @type {any} */ (null))
  const [leaving, setLeaving] = useState(/** @type {any} */ (null))
  const toggle = async (rule) => {
    try {
      await send("PUT", pathOf(rule.name), { is_on: !rule.is_on })
      notify(`${rule.name} is ${rule.is_on ? "off" : "on"}`)
      rules.reload()
    } catch (error) {
      notify(error.message, "bad")
    }
  }
  const actions = (rule) => html`<button type="button" class="quiet" aria-label=${`Edit ${rule.name}`} onClick=${() => setEdited(rule)}>Edit</button>${" "}
    ${canBeTried(rule) ? html`<button type="button" class="quiet" aria-label=${`Try ${rule.name}`} onClick=${() => setTried(rule)}>Try</button>` : null}${" "}
    ${rule.ready_made ? null : html`<button type="button" class="quiet" aria-label=${`Delete ${rule.name}`} onClick=${() => setLeaving(rule)}>Delete</button>`}`
  const columns = [
    { key: "is_on", title: "on", value: (rule) => (rule.is_on ? 0 : 1), show: (rule) => (mayChange
      ? html`<input type="checkbox" role="switch" checked=${rule.is_on} aria-label=${`${rule.name} is on`} onChange=${() => toggle(rule)} />` : rule.is_on ? "on" : "off") },
    { key: "name", title: "rule", show: (rule) => html`<b dir="auto">${rule.name}</b>` },
    { key: "sentence", title: "says", className: "grow wrap", show: (rule) => (rule.problem ? html`${rule.sentence}<br /><span class="note">${rule.problem}</span>` : rule.sentence) },
    { key: "severity", title: "severity" },
    ...(mayChange ? [{ key: "actions", title: html`<span class="hidden">Actions</span>`, isFixed: true, show: actions }] : []),
  ]
  const tools = mayChange ? html`<button type="button" onClick=${() => setEdited({})}>Add a rule …</button>` : null
  return html`<${Panel} title="Rules" note=${messagesOf(path, rules.data)} tools=${tools}><${Shown} answer=${rules}>${(data) => html`
      <${Table} caption="Rules" columns=${columns} rows=${data.rules} keyOf=${(rule) => rule.name} sort="is_on" />
      ${edited ? html`<${Editor} key=${edited.name ?? "new"} pathOf=${pathOf} rule=${edited} words=${data} close=${() => setEdited(null)} reload=${rules.reload} />` : null}`}<//><//>
    ${tried ? html`<${Trial} path=${pathOf(tried.name)} rule=${tried} close=${() => setTried(null)} />` : null}
    ${leaving ? html`<${Confirm} title=${`Delete ${leaving.name}?`} action="Delete" onClose=${() => setLeaving(null)}
      act=${async () => { await send("DELETE", pathOf(leaving.name)); notify(`${leaving.name} is deleted`); rules.reload() }}>
      <p>Its open alerts end. What it has found stays.</p><//>` : null}`
}

/** Where messages of rules go. */
function messagesOf(path, data) {
  if (path === PATH) return "messages go to alerts.send_to of conf/appliance.yml"
  if (!data) return ""
  const most = `${data.most_rules} rules at most`
  return data.mail_to ? `${most}; mails go to ${data.mail_to}` : `${most}; no mails are sent: the account has no address, or none are allowed`
}

/** Whether series of the past tell what a rule measures. */
function canBeTried(rule) {
  return ["bps", "pps", "fps", "share"].includes(rule.measure)
}

function Editor({ pathOf, rule, words, close, reload }) {
  const isNew = rule.name === undefined
  const [filter, setFilter] = useState(rule.filter ?? "")
  const initial = {
    filter: "", name: rule.name ?? "", measure: rule.measure ?? "bps", by: rule.by ?? "", window: String(rule.window ?? 60), condition: rule.condition ?? "above",
    limit: rule.limit === undefined ? "" : String(rule.limit), clear: rule.clear === null || rule.clear === undefined ? "" : String(rule.clear),
    least: String(rule.least ?? 0), hold: String(rule.hold ?? 0), severity: rule.severity ?? "warning", quiet: rule.quiet ?? "", text: rule.text ?? "",
  }
  const form = useForm(initial, async ({ name, ...values }) => {
    await send("PUT", pathOf(name), { ...values, filter, is_on: isNew || rule.is_on })
    notify(`${name} is saved`)
    reload()
    close()
  }, WORDS)
  const choices = (name, options) => html`<${Field} title=${TITLES[name]} ...${form.field(name)} options=${options} />`
  return html`<${Dialog} title=${isNew ? "Add a rule" : `Edit ${rule.name}`} onClose=${close}><form onSubmit=${form.submit} autocomplete="off">
    ${isNew ? html`<${Field} title="Name" ...${form.field("name")} required maxlength="64" pattern=${"[^\\/]+"} autofocus dir="auto" />` : null}
    <div class="field"><b>Which flows</b><${FilterBox} value=${filter} onText=${setFilter} problem=${form.problems.filter} placeholder="all flows that may be seen, or such as dst port 443" /></div>
    <div class="pair">${choices("measure", Object.entries(words.measures))}${choices("by", words.groups.map((group) => [group, GROUP_TITLES[group] ?? group]))}</div>
    <div class="pair">${choices("condition", Object.keys(words.conditions).map((name) => [name, CONDITION_TITLES[name] ?? name]))}
      <${Field} title="Limit" ...${form.field("limit")} required inputmode="decimal" /></div>
    <div class="pair"><${Field} title="Measured over, in seconds" ...${form.field("window")} required inputmode="numeric" />
      <${Field} title="Must last, in seconds" ...${form.field("hold")} inputmode="numeric" /></div>
    <div class="pair"><${Field} title="Over again at" ...${form.field("clear")} inputmode="decimal" placeholder="80 % of the limit" />
      ${choices("severity", words.severities.map((name) => [name, name]))}</div>
    ${form.values.condition.endsWith("_baseline") ? html`<${Field} title="Only from so much on, in the unit of the measure" ...${form.field("least")} inputmode="decimal" />` : null}
    <div class="pair"><${Field} title="Quiet hours, no messages" ...${form.field("quiet")} placeholder="22:00-06:00" />
      <${Field} title="What to say beside" ...${form.field("text")} maxlength="500" dir="auto" /></div>
    ${form.problem ? html`<p class="problem" role="alert">${form.problem}</p>` : null}
    <div class="row"><button class="primary" disabled=${form.isBusy}>Save</button><button type="button" onClick=${close}>Cancel</button></div></form><//>`
}

const TITLES = { measure: "Measure", by: "Of each", condition: "Alert when", severity: "Severity" }

function Trial({ path, rule, close }) {
  const range = useRange()
  const answer = useAnswer(`${path}/test`, range, { isLong: true })
  const columns = [
    { key: "began", title: "began", show: (row) => dateTime(row.began) },
    { key: "lasted", title: "lasted", isNumber: true, value: lasted, show: (row) => span(lasted(row)) },
    { key: "subject", title: "what", className: "grow wrap", show: (row) => html`${row.subject || "all together"}${row.facts ? html`<br /><span class="note">${row.facts}</span>` : null}` },
    { key: "peak", title: "worst", isNumber: true, show: (row) => si(row.peak) },
  ]
  return html`<${Dialog} title=${`${rule.name}, in the past`} onClose=${close}><p class="note">${rule.sentence}</p>
    ${answer.data?.problem ? html`<p class="note">${answer.data.problem}</p>` : null}
    <${Shown} answer=${answer} isEmpty=${(data) => !data.alerts.length} empty="It would have said nothing in this range">${(data) => html`
      <p>It would have been in alert <b>${data.alerts.length === 1 ? "once" : `${data.alerts.length} times`}</b> in the range of this page, by means of ${span(data.step_seconds)}.</p>
      <${Table} caption="Past alerts" columns=${columns} rows=${data.alerts} pageRows=${10} sort="-began" />`}<//>
    <div class="row below"><button type="button" class="primary" onClick=${close} autofocus>Close</button></div><//>`
}
