/** How the appliance is, and the rates of what it counts. */
import { html, useRef } from "../base.js"
import { useAnswer } from "../api.js"
import { address, Link } from "../router.js"

const EVERY_MS = 5000

/** The health report every five seconds; one that says "failing" comes as an error, and is a report all the same. */
export function useHealth() {
  const answer = useAnswer("/api/v1/health", {}, { everyMs: EVERY_MS })
  const report = answer.error?.body?.status ? answer.error.body : null
  return report ? { ...answer, data: report, error: null } : answer
}

/** What to do on an appliance that nothing has sent to. */
export function FirstStepsBanner() {
  return html`<p class="banner is-calm" role="status"><b>No exporter has sent anything yet.</b> <${Link} to=${address("start")}>How to make a router send flows here<//></p>`
}

/** That banner, until the first exporter has sent; from then on nothing is asked any more. */
export function UntilFirstExporter() {
  const hasExporters = useRef(false)
  const { data } = useAnswer("/api/v1/exporters", {}, { everyMs: hasExporters.current ? 0 : EVERY_MS })
  hasExporters.current ||= Boolean(data?.exporters.length)
  return data && !hasExporters.current ? html`<${FirstStepsBanner} />` : null
}

/**
 * What a counter grows by in a second; null until it was seen twice, and when it began again.
 * @param {number | undefined} count
 */
export function usePerSecond(count) {
  const last = useRef(/** @type {{count: number, atMs: number, rate: number | null} | null} */ (null))
  if (count !== undefined && count !== last.current?.count) {
    const now = Date.now()
    const before = last.current
    const rate = before && count > before.count ? ((count - before.count) * 1000) / (now - before.atMs) : null
    last.current = { count, atMs: now, rate }
  }
  return last.current?.rate ?? null
}

/** @param {string} status */
export function toneOfStatus(status) {
  return { ok: "good", degraded: "warn" }[status] ?? "bad"
}
