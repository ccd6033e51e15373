/** What is said of an exporter wherever it is listed. */
import { html } from "../base.js"
import { whole } from "../units.js"
import { Light } from "./state.js"

export const STATES = {
  active: ["good", "active"],
  waiting: ["warn", "waits for a template"],
  silent: ["bad", "silent"],
  ended: ["off", "connection ended"],
  unheard: ["off", "not heard since the start"],
}

/** @param {any} exporter */
export function stateOf(exporter) {
  const states = exporter.sessions.map((session) => session.state)
  return ["waiting", "active", "silent", "ended", "unheard"].find((state) => states.includes(state)) ?? "unheard"
}

export function StateLight({ exporter }) {
  const [tone, text] = STATES[stateOf(exporter)]
  const lost = lostPercent(exporter)
  if (tone === "good" && lost > 1) return html`<${Light} tone="warn">loses flows<//>`
  return html`<${Light} tone=${tone}>${text}<//>`
}

/** Over what a session comes, where that is no datagrams: IPFIX/tls. @param {any} session */
export const protocolOf = (session) => (session.transport === "udp" ? session.protocol : `${session.protocol}/${session.transport}`)

export function lostPercent(exporter) {
  return Math.max(0, ...exporter.sessions.map((session) => session.lost_percent ?? 0))
}

/** @param {any} exporter @param {string} name of a figure of its sessions */
export const sum = (exporter, name) => exporter.sessions.reduce((all, session) => all + (session[name] ?? 0), 0)

export function samplingText(exporter) {
  const { rate, source } = exporter.sampling
  if (source === "assumed") return "none told"
  return rate ? `1 in ${whole(rate)}` : "by record"
}
