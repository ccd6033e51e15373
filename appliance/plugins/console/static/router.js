/** Which page, with what: the address of the browser is the whole state. */
import { Shared, html } from "./base.js"

const ROOT = "/console/"

/** @returns {{place: string, params: URLSearchParams}} */
function current() {
  const place = location.pathname.startsWith(ROOT) ? location.pathname.slice(ROOT.length) : ""
  return { place: decodeURIComponent(place), params: new URLSearchParams(location.search) }
}

export const route = new Shared(current())

window.addEventListener("popstate", () => route.set(current()))

/**
 * The address of a page; the range goes along.
 * @param {string} place @param {Record<string, any>} [params]
 */
export function address(place, params = {}) {
  const query = new URLSearchParams()
  if (!("last" in params) && !("from" in params)) {
    for (const name of ["last", "from", "to"]) {
      const value = route.value.params.get(name)
      if (value) query.set(name, value)
    }
  }
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, String(value))
  }
  const text = query.toString()
  return ROOT + place.split("/").map(encodeURIComponent).join("/") + (text ? `?${text}` : "")
}

/** @param {string} url @param {{replace?: boolean}} [options] */
export function go(url, { replace = false } = {}) {
  if (url !== location.pathname + location.search) {
    history[replace ? "replaceState" : "pushState"](null, "", url)
  }
  const before = route.value.place
  route.set(current())
  if (route.value.place !== before) window.scrollTo(0, 0)
}

/**
 * Change parameters of the page that is shown; empty ones go.
 * @param {Record<string, any>} changes @param {{replace?: boolean}} [options]
 */
export function change(changes, options) {
  const params = new URLSearchParams(location.search)
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === null || value === "") params.delete(name)
    else params.set(name, String(value))
  }
  const text = params.toString()
  go(location.pathname + (text ? `?${text}` : ""), options)
}

/** The range of the page, as the API's parameters. */
export function useRange() {
  const { params } = route.use()
  const from = params.get("from")
  const to = params.get("to")
  if (from && to) return { from, to }
  return { last: params.get("last") || "1h" }
}

/** A link within the console; a middle click still opens a tab. */
export function Link({ to, children, ...more }) {
  const follow = (event) => {
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    go(to)
  }
  return html`<a href=${to} onClick=${follow} ...${more}>${children}</a>`
}
