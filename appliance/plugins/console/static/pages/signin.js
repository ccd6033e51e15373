/** Sign in; also over a page whose session has ended. */
import { html, useEffect, useState } from "../base.js"
import { request, signIn } from "../api.js"
import { Field } from "../parts/form.js"

/** @param {{name?: string, isInDialog?: boolean, onOther?: () => void}} props */
export function SignIn({ name = "", isInDialog = false, onOther }) {
  const [user, setUser] = useState(name)
  const [password, setPassword] = useState("")
  const [code, setCode] = useState("")
  const [needsCode, setNeedsCode] = useState(false)
  const [problem, setProblem] = useState("")
  const [isBusy, setBusy] = useState(false)
  const [others, setOthers] = useState(/** @type {{title: string, url: string}[]} */ ([]))
  useEffect(() => {
    request("/api/v1/account/ways", { anonymous: true }).then(
      (ways) => setOthers(Object.values(ways).filter((way) => typeof way === "object")),
      () => {},
    )
  }, [])
  const submit = async (event) => {
    event.preventDefault()
    setBusy(true)
    setProblem("")
    try {
      await signIn(user, password, code.trim())
    } catch (error) {
      if (error.body?.code === "totp_required" && !needsCode) setNeedsCode(true)
      else if (error.body?.code?.startsWith("totp")) setProblem("The code is wrong, or was used already")
      else setProblem(error.status === 401 ? "Name or password is wrong" : error.message)
      setBusy(false)
    }
  }
  const form = html`<form class="signin" onSubmit=${submit}>
    ${isInDialog ? html`<p>Sign in again; nothing on the page is lost.</p>` : null}
    <${Field} title="Name" value=${user} onInput=${setUser} autocomplete="username" autocapitalize="off" required autofocus=${!name} />
    <${Field} title="Password" type="password" value=${password} onInput=${setPassword} autocomplete="current-password" required autofocus=${Boolean(name)} />
    ${needsCode ? html`<${Field} title="Code of your authenticator, or a recovery code" value=${code} onInput=${setCode} autocomplete="one-time-code" required autofocus />` : null}
    ${problem ? html`<p class="problem" role="alert">${problem}</p>` : null}
    <div class="row"><button class="primary" disabled=${isBusy}>Sign in</button>
      ${onOther ? html`<button type="button" class="quiet" onClick=${onOther}>As somebody else</button>` : null}</div>
    ${others.map((way) => html`<a key=${way.url} class="button" href=${`${way.url}?next=${encodeURIComponent(location.pathname + location.search)}`}>${way.title}</a>`)}
    ${isInDialog ? null : html`<p class="note">At its first start the appliance printed the name and a one-time password in its terminal or journal.
      Lost it? <code>appliance user add</code> makes an administrator.</p>`}
  </form>`
  if (isInDialog) return form
  return html`<main class="lonely"><div class="card"><span class="mark" aria-hidden="true"></span><h1>NetFlow appliance</h1>${form}</div></main>`
}
