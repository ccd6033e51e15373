/** Where somebody is signed in: listed, ended. */
import { html, useState } from "../base.js"
import { send, useAnswer } from "../api.js"
import { dateTime } from "../times.js"
import { Shown } from "./state.js"
import { Table } from "./table.js"
import { Confirm } from "./dialog.js"
import { notify } from "./form.js"

/** @param {{path: string}} props path of the account in the API */
export function Sessions({ path }) {
  const answer = useAnswer(`${path}/sessions`)
  const [ending, setEnding] = useState(/** @type {any} */ (null))
  const columns = [
    { key: "last_used", title: "last used", show: (row) => dateTime(row.last_used) },
    { key: "created", title: "since", show: (row) => dateTime(row.created) },
    { key: "address", title: "from" },
    { key: "user_agent", title: "program", className: "wrap", show: (row) => html`<span class="note" dir="auto">${row.user_agent}</span>` },
    { key: "end", title: html`<span class="hidden">Actions</span>`, isFixed: true, className: "number", show: (row) => (row.current ? html`<span class="tag">this one</span>`
      : html`<button type="button" class="quiet" aria-label=${`End the session of ${nameOf(row)}`} onClick=${() => setEnding(row)}>End</button>`) },
  ]
  return html`<${Shown} answer=${answer} isEmpty=${(data) => !data.sessions.length} empty="Signed in nowhere">${(data) => html`
      <${Table} caption="Sessions" columns=${columns} rows=${data.sessions} keyOf=${(row) => row.id} sort="-last_used" />`}<//>
    ${ending ? html`<${Confirm} title="End this session?" action="End it" onClose=${() => setEnding(null)}
      act=${async () => { await send("DELETE", `${path}/sessions/${ending.id}`); notify("The session has ended"); answer.reload() }}>
      <p dir="auto">${nameOf(ending)}</p><p>Whoever uses it has to sign in again.</p><//>` : null}`
}

/** @param {any} session */
function nameOf(session) {
  return `${session.address}, last used ${dateTime(session.last_used)}, ${session.user_agent}`
}
