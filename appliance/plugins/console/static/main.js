/** The console: who is signed in, which page, the frame around it. */
import { html, render, useEffect, useState } from "./base.js"
import { boundTo, get, isAway, isSignedOut, refreshes, signOut } from "./api.js"
import { address, go, Link, route } from "./router.js"
import { boxZone } from "./times.js"
import { theme } from "./parts/chart.js"
import { RangePicker, ZonePicker } from "./parts/range.js"
import { Failure, Skeleton } from "./parts/state.js"
import { PasswordForm } from "./parts/password.js"
import { Dialog } from "./parts/dialog.js"
import { Notices } from "./parts/form.js"
import { SignIn } from "./pages/signin.js"

/**
 * @typedef {object} PageLink
 * @property {string} path
 * @property {string} title
 * @property {string} [key] after g
 * @property {boolean} [hasRange]
 * @property {boolean} [isAdministrative]
 * @property {boolean} [isHidden] not among the links
 * @property {boolean} [isOfAll] tells of more than a bound user may see
 * @property {() => Promise<{default: any}>} load
 */

/** @type {PageLink[]} */
const PAGES = [
  { path: "", title: "Overview", key: "o", hasRange: true, load: () => import("./pages/overview.js") },
  { path: "explore", title: "Explore", key: "e", hasRange: true, load: () => import("./pages/explore.js") },
  { path: "hosts", title: "Hosts", key: "h", hasRange: true, load: () => import("./pages/hosts.js") },
  { path: "interfaces", title: "Interfaces", key: "i", hasRange: true, load: () => import("./pages/interfaces.js") },
  { path: "exporters", title: "Exporters", key: "x", isOfAll: true, load: () => import("./pages/exporters.js") },
  { path: "collector", title: "Collector", key: "c", isAdministrative: true, load: () => import("./pages/collector.js") },
  { path: "device", title: "Device", key: "d", isAdministrative: true, load: () => import("./pages/device.js") },
  { path: "users", title: "Users", key: "u", isAdministrative: true, load: () => import("./pages/users.js") },
  { path: "account", title: "Account", key: "a", isHidden: true, load: () => import("./pages/account.js") },
  { path: "start", title: "First steps", key: "s", isOfAll: true, load: () => import("./pages/start.js") },
  { path: "about", title: "About", key: "b", isOfAll: true, load: () => import("./pages/about.js") },
]

function Console() {
  const signedOut = isSignedOut.use()
  const [session, setSession] = useState(/** @type {any} */ (null))
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const refresh = refreshes.use()
  const [count, setCount] = useState(0)
  useTheme()
  useEffect(() => {
    if (session && !signedOut) return
    get("/api/v1/console").then(
      (found) => {
        boxZone.set(found.zone)
        boundTo.set(found.filter ?? "")
        setSession(found)
        setProblem(null)
      },
      (error) => error.status !== 401 && setProblem(error),
    )
  }, [signedOut, refresh, count])
  if (!session) {
    if (signedOut) return html`<${SignIn} />`
    if (problem?.body?.code === "password_change_required") return html`<${FirstPassword} done=${() => { setProblem(null); setCount(count + 1) }} />`
    return problem ? html`<main class="lonely"><${Failure} error=${problem} /></main>` : null
  }
  return html`<${Frame} session=${session} />
    ${signedOut ? html`<${Dialog} title="Your session has ended"><${SignIn} name=${session.name} isInDialog=${true} onOther=${() => setSession(null)} /><//>` : null}`
}

/** The password that was printed opens nothing but this. */
function FirstPassword({ done }) {
  return html`<main class="lonely"><div class="card"><span class="mark" aria-hidden="true"></span><h1>Choose a password of your own</h1>
    <p>The one that was printed at the first start is good for this alone.</p><${PasswordForm} name="" done=${done} /></div></main>`
}

function useTheme() {
  const choice = theme.use()
  useEffect(() => {
    if (choice === "auto") delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = choice
  }, [choice])
}

function Frame({ session }) {
  const { place } = route.use()
  const away = isAway.use()
  const [isOpen, setOpen] = useState(false)
  const [isHelp, setHelp] = useState(false)
  const pages = pagesOf(session)
  const [head, ...rest] = place.replace(/\/$/, "").split("/")
  const page = pages.find((one) => one.path === head)
  useKeys(pages, () => setHelp(true))
  useEffect(() => {
    document.title = `${rest.length ? `${rest.join("/")} - ` : ""}${page?.title ?? "Not found"} - ${session.hostname}`
    setOpen(false)
  }, [place])
  return html`
    <a class="skip" href="#content" onClick=${(event) => { event.preventDefault(); document.getElementById("content")?.focus() }}>Skip to the content</a>
    <header class="top">
      <button type="button" class="menu" aria-expanded=${isOpen} aria-controls="links" aria-label="Menu" onClick=${() => setOpen(!isOpen)}>☰</button>
      <${Link} to=${address("")} class="brand"><span class="mark" aria-hidden="true"></span><span>${session.hostname}</span><//>
      ${session.filter ? html`<p class="bound" title=${`Every answer is limited to: ${session.filter}`}>limited to: <code>${session.filter}</code></p>` : null}
      ${page?.hasRange ? html`<${RangePicker} />` : html`<span class="gap"></span>`}
    </header>
    <nav id="links" class=${isOpen ? "links is-open" : "links"} aria-label="Pages">
      <ul>${pages.filter((one) => !one.isHidden).map((one) => html`<li key=${one.path}><${Link} to=${address(one.path)}
        aria-current=${one.path === head ? "page" : undefined}>${one.title}<//></li>`)}</ul>
      <div class="foot">
        <${ZonePicker} />
        <label><span>Theme</span><select value=${theme.use()} onChange=${(event) => theme.set(event.target.value)}>
          <option value="auto">as the system</option><option value="light">light</option><option value="dark">dark</option></select></label>
        <p><${Link} to=${address("account")} title="Your account">${session.name}<//>
        <button type="button" class="quiet" onClick=${signOut}>Sign out</button></p>
      </div>
    </nav>
    <main id="content" tabindex="-1">
      ${away ? html`<p class="banner" role="alert">The appliance does not answer. What you see is from before; it is asked again every three seconds.</p>` : null}
      ${page ? html`<${Loaded} key=${page.path} page=${page} session=${session} rest=${rest} />`
        : html`<div class="empty"><h1>There is no such page</h1><p><${Link} to=${address("")}>To the overview<//></p></div>`}
    </main>
    <${Notices} />
    ${isHelp ? html`<${Keys} pages=${pages} close=${() => setHelp(false)} />` : null}`
}

/** @returns {PageLink[]} */
function pagesOf(session) {
  const isAdministrator = session.roles.includes("Administrator")
  const own = PAGES.filter((page) => (isAdministrator || !page.isAdministrative) && !(page.isOfAll && session.filter))
  const others = session.pages.map(({ path, title, order, module }) => ({ path, title, order, hasRange: true, load: () => import(module) }))
  const ordered = own.map((page) => ({ ...page, order: 10 * (PAGES.indexOf(page) + 1) }))
  return [...ordered, ...others.filter((page) => !own.some((one) => one.path === page.path))].sort((a, b) => a.order - b.order)
}

/** A page, once its module is there. */
function Loaded({ page, session, rest }) {
  const [found, setFound] = useState(/** @type {any} */ ({}))
  useEffect(() => {
    page.load().then(
      (module) => setFound({ Page: module.default }),
      (error) => setFound({ error: new Error(`This page cannot be loaded: ${error.message}`) }),
    )
  }, [page])
  if (found.error) return html`<${Failure} error=${found.error} retry=${() => location.reload()} />`
  if (!found.Page) return html`<${Skeleton} lines=${8} />`
  return html`<${found.Page} session=${session} rest=${rest} />`
}

/** @param {PageLink[]} pages @param {() => void} help */
function useKeys(pages, help) {
  useEffect(() => {
    let isGoing = false
    const key = (event) => {
      const inField = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)
      if (event.key === "Escape" && inField) return event.target.blur()
      if (inField || event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog[open]")) return undefined
      const page = pages.find((one) => one.key === event.key)
      if (isGoing && page) {
        event.preventDefault()
        isGoing = false
        return go(address(page.path))
      }
      isGoing = event.key === "g"
      if (isGoing) window.setTimeout(() => { isGoing = false }, 1200)
      if (event.key === "/") {
        event.preventDefault()
        const field = /** @type {HTMLElement | null} */ (document.querySelector("[data-filter]"))
        if (field) field.focus()
        else go(address("explore"))
      } else if (event.key === "r") refreshes.set(refreshes.value + 1)
      else if (event.key === "?") help()
      return undefined
    }
    document.addEventListener("keydown", key)
    return () => document.removeEventListener("keydown", key)
  }, [pages.length])
}

function Keys({ pages, close }) {
  const rows = [
    ["/", "to the filter"], ["r", "ask again"], ["↑ ↓", "walk through a table, Enter opens"], ["Esc", "close, leave a field"],
    ...pages.filter((page) => page.key).map((page) => [`g ${page.key}`, page.title]),
  ]
  return html`<${Dialog} title="Keys" onClose=${close}><dl class="keys">${rows.map(([keys, text]) => html`<div key=${keys}><dt><kbd>${keys}</kbd></dt><dd>${text}</dd></div>`)}</dl>
    <div class="row"><button type="button" class="primary" onClick=${close} autofocus>Close</button></div><//>`
}

const root = document.getElementById("console")
if (root) render(html`<${Console} />`, root)
