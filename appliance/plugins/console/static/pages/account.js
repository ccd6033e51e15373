/** One's own account: who one is here, the password, one's tokens. */
import { html } from "../base.js"
import { ApiError, send, signIn, useAnswer } from "../api.js"
import { Failure, Panel } from "../parts/state.js"
import { Field, notify, useForm } from "../parts/form.js"
import { Tokens } from "../parts/tokens.js"

const PATH = "/api/v1/admin/user"

export default function Account({ session }) {
  const isAdministrator = session.roles.includes("Administrator")
  const isAccount = session.account !== null
  return html`<div class="page-head"><h1>Your account</h1></div>
    <div class="grid two"><${Who} session=${session} isAdministrator=${isAdministrator && isAccount} />
      <${Panel} title="Password">${isAdministrator && isAccount ? html`<${Password} session=${session} />`
        : html`<p class="note">${isAccount ? "An administrator changes your password, on the page Users." : "You are here without an account, so there is no password."}</p>`}<//></div>
    ${isAdministrator ? html`<${Tokens} account=${session.account} />` : null}`
}

function Who({ session, isAdministrator }) {
  const answer = useAnswer(isAdministrator ? `${PATH}/${session.account}` : null)
  const user = answer.data
  const facts = [
    ["Name", session.name],
    ["Roles", session.roles.map((role) => html`<span class="tag" key=${role}>${role}</span> `)],
    ["Person", [user?.firstname, user?.lastname].filter(Boolean).join(" ")],
    ["Email", user?.email],
  ].filter(([, value]) => value)
  return html`<${Panel} title="You">${answer.error ? html`<${Failure} error=${answer.error} retry=${answer.reload} />` : null}
    <dl class="facts">${facts.map(([name, value]) => html`<dt key=${name}>${name}</dt><dd dir="auto">${value}</dd>`)}</dl><//>`
}

const EMPTY = { current: "", password: "", again: "" }

function Password({ session }) {
  const form = useForm(EMPTY, async ({ current, password, again }) => {
    if (password !== again) throw new ApiError(400, "again: Is not the same")
    try {
      await signIn(session.name, current)
    } catch (error) {
      throw error.status === 401 ? new ApiError(401, "current: Is wrong") : error
    }
    await send("PUT", `${PATH}/${session.account}`, { password })
    // The change has ended every session of the account, this one too.
    await signIn(session.name, password)
    form.setValues(EMPTY)
    notify("Your password is changed; you are signed out everywhere else")
  }, { password: /password/i })
  return html`<form onSubmit=${form.submit}>
    <input class="hidden" type="text" name="username" autocomplete="username" value=${session.name} readonly tabindex="-1" aria-hidden="true" />
    <${Field} title="Password until now" type="password" autocomplete="current-password" required ...${form.field("current")} />
    <${Field} title="New password" type="password" autocomplete="new-password" required ...${form.field("password")}
      help="Ten characters or more, of three kinds: small and capital letters, digits, others" />
    <${Field} title="New password again" type="password" autocomplete="new-password" required ...${form.field("again")} />
    ${form.problem ? html`<p class="problem" role="alert">${form.problem}</p>` : null}
    <div class="row"><button class="primary" disabled=${form.isBusy}>Change the password</button></div></form>`
}
