/** The own password: changed with the one until now; every session ends, a new one begins here. */
import { html } from "../base.js"
import { ApiError, send } from "../api.js"
import { Field, useForm } from "./form.js"

const EMPTY = { current: "", password: "", again: "" }

/** @param {{name: string, done: () => void}} props */
export function PasswordForm({ name, done }) {
  const form = useForm(EMPTY, async ({ current, password, again }) => {
    if (password !== again) throw new ApiError(400, "again: Is not the same")
    try {
      await send("PUT", "/api/v1/account/password", { password: current, newPassword: password })
    } catch (error) {
      throw error.status === 401 || error.status === 403 ? new ApiError(error.status, "current: Is wrong") : error
    }
    form.setValues(EMPTY)
    done()
  }, { password: /password/i })
  return html`<form onSubmit=${form.submit}>
    <input class="hidden" type="text" name="username" autocomplete="username" value=${name} readonly tabindex="-1" aria-hidden="true" />
    <${Field} title="Password until now" type="password" autocomplete="current-password" required ...${form.field("current")} />
    <${Field} title="New password" type="password" autocomplete="new-password" required ...${form.field("password")}
      help="Ten characters or more, of three kinds: small and capital letters, digits, others" />
    <${Field} title="New password again" type="password" autocomplete="new-password" required ...${form.field("again")} />
    ${form.problem ? html`<p class="problem" role="alert">${form.problem}</p>` : null}
    <div class="row"><button class="primary" disabled=${form.isBusy}>Change the password</button></div></form>`
}
