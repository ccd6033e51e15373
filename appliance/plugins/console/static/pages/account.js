/** One's own account: what the console knows of who is signed in. */
import { html, useState } from "../base.js"
import { send } from "../api.js"
import { Panel } from "../parts/state.js"
import { Field, notify } from "../parts/form.js"

export default function Account({ session }) {
  const isAdministrator = session.roles.includes("Administrator")
  return html`<div class="page-head"><h1>${session.name}</h1></div>
    <${Panel} title="Account"><dl class="facts"><dt>Name</dt><dd>${session.name}</dd><dt>Roles</dt><dd>${session.roles.join(", ") || "none"}</dd></dl><//>
    ${isAdministrator && session.account !== null ? html`<${Password} account=${session.account} />`
      : html`<${Panel} title="Password"><p>An administrator changes it, on the page Users or by <code>appliance user passwd</code>.</p><//>`}`
}

function Password({ account }) {
  const [texts, setTexts] = useState({ first: "", second: "" })
  const [problem, setProblem] = useState("")
  const save = async (event) => {
    event.preventDefault()
    if (texts.first !== texts.second) return setProblem("The two are not the same")
    try {
      await send("PUT", `/api/v1/admin/user/${account}`, { password: texts.first })
      setTexts({ first: "", second: "" })
      setProblem("")
      return notify("The password is changed; sign in with it from now on")
    } catch (error) {
      return setProblem(error.message)
    }
  }
  return html`<${Panel} title="Change the password"><form class="narrow" onSubmit=${save}>
    <${Field} title="New password" type="password" autocomplete="new-password" required value=${texts.first} onInput=${(first) => setTexts({ ...texts, first })} />
    <${Field} title="Once more" type="password" autocomplete="new-password" required value=${texts.second} onInput=${(second) => setTexts({ ...texts, second })} problem=${problem} />
    <div class="row"><button class="primary">Change</button></div></form><//>`
}
