/** One's own account: who one is here, the password, one's tokens. */
import { html, useState } from "../base.js"
import { send, useAnswer } from "../api.js"
import { Failure, Panel, Shown } from "../parts/state.js"
import { Sessions } from "../parts/sessions.js"
import { Copyable, Field, notify, useForm } from "../parts/form.js"
import { PasswordForm } from "../parts/password.js"
import { Tokens } from "../parts/tokens.js"

const PATH = "/api/v1/admin/user"
const OWN = "/api/v1/account"

export default function Account({ session }) {
  const isAdministrator = session.roles.includes("Administrator")
  const isAccount = session.account !== null
  return html`<div class="page-head"><h1>Your account</h1></div>
    <div class="grid two"><${Who} session=${session} isAdministrator=${isAdministrator && isAccount} />
      <${Panel} title="Password">${isAccount ? html`<${PasswordForm} name=${session.name} done=${() => notify("Your password is changed; you are signed out everywhere else")} />`
        : html`<p class="note">You are here without an account, so there is no password.</p>`}<//>
      ${isAccount ? html`<${SecondFactor} />` : null}</div>
    ${isAccount ? html`<${Panel} title="Sessions" note="where you are signed in"><${Sessions} path=${OWN} /><//>` : null}
    ${isAdministrator ? html`<${Tokens} account=${session.account} />` : null}`
}

function Who({ session, isAdministrator }) {
  const answer = useAnswer(isAdministrator ? `${PATH}/${session.account}` : null)
  const user = answer.data
  const facts = [
    ["Name", session.name],
    ["Roles", session.roles.map((role) => html`<span class="tag" key=${role}>${role}</span> `)],
    ["Limited to", session.filter && html`<code>${session.filter}</code>`],
    ["Person", [user?.firstname, user?.lastname].filter(Boolean).join(" ")],
    ["Email", user?.email],
  ].filter(([, value]) => value)
  return html`<${Panel} title="You">${answer.error ? html`<${Failure} error=${answer.error} retry=${answer.reload} />` : null}
    <dl class="facts">${facts.map(([name, value]) => html`<dt key=${name}>${name}</dt><dd dir="auto">${value}</dd>`)}</dl><//>`
}

/** The second factor: off, being set up, or on. */
function SecondFactor() {
  const answer = useAnswer(`${OWN}/totp`)
  const [enrolled, setEnrolled] = useState(/** @type {any} */ (null))
  const [codes, setCodes] = useState(/** @type {string[]} */ ([]))
  const confirm = useForm({ totp: "" }, async ({ totp }) => {
    setCodes((await send("PUT", `${OWN}/totp`, { totp: totp.trim() })).recovery_codes)
    setEnrolled(null)
    answer.reload()
  }, { totp: /./ })
  const off = useForm({ password: "" }, async ({ password }) => {
    await send("DELETE", `${OWN}/totp`, { password })
    off.setValues({ password: "" })
    setCodes([])
    notify("The second factor is off")
    answer.reload()
  }, { password: /./ })
  const begin = useForm({ password: "" }, async ({ password }) => {
    setEnrolled(await send("POST", `${OWN}/totp`, { password }))
    begin.setValues({ password: "" })
  }, { password: /./ })
  return html`<${Panel} title="Second factor" note="a code of an authenticator app beside the password"><${Shown} answer=${answer} lines=${2}>${(data) => {
    if (codes.length) return html`<p>It is on. These recovery codes stand in for a lost device, each once; they are shown this once:</p><${Copyable} text=${codes.join("\n")} />`
    if (data.on) {
      return html`<p>It is on, with ${data.recovery_codes} recovery codes left.</p><form class="narrow" onSubmit=${off.submit}>
        <${Field} title="Password, to turn it off" type="password" autocomplete="current-password" required ...${off.field("password")} />
        <div class="row"><button disabled=${off.isBusy}>Turn it off</button></div></form>`
    }
    if (enrolled) {
      return html`<p>Give this to your authenticator app, then type the code that it shows:</p><${Copyable} text=${enrolled.secret} />
        <p class="note"><a href=${enrolled.uri}>Open it in an app of this device</a></p>
        <form class="narrow" onSubmit=${confirm.submit}><${Field} title="Code" inputmode="numeric" autocomplete="one-time-code" required ...${confirm.field("totp")} />
        <div class="row"><button class="primary" disabled=${confirm.isBusy}>Turn it on</button></div></form>`
    }
    return html`<p>It is off.</p><form class="narrow" onSubmit=${begin.submit}>
      <${Field} title="Password, to set it up" type="password" autocomplete="current-password" required ...${begin.field("password")} />
      <div class="row"><button disabled=${begin.isBusy}>Set it up</button></div></form>`
  }}<//><//>`
}
