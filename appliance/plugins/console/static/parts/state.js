/** What stands where an answer is not there: loading, empty, wrong; and the panel around it. */
import { html } from "../base.js"

/**
 * A part of a page with its title.
 * @param {{title?: any, tools?: any, note?: any, children?: any, className?: string}} props
 */
export function Panel({ title, tools, note, children, className = "" }) {
  return html`<section class=${`panel ${className}`} aria-label=${typeof title === "string" ? title : undefined}>
    ${title || tools ? html`<header><h2>${title}</h2>${note && html`<span class="note">${note}</span>`}<div class="tools">${tools}</div></header>` : null}
    ${children}
  </section>`
}

/**
 * Show what an answer holds, or why there is none.
 * @param {{answer: any, isEmpty?: (data: any) => boolean, empty?: any, children: (data: any) => any, lines?: number, onCancel?: () => void}} props
 */
export function Shown({ answer, isEmpty, empty = "Nothing in this range", children, lines = 5, onCancel }) {
  const { data, error, isLoading, isStale, reload, job } = answer
  if (job) return html`<${Working} job=${job} onCancel=${onCancel} />`
  if (error && !data) return html`<${Failure} error=${error} retry=${reload} />`
  if (!data) return html`<${Skeleton} lines=${lines} />`
  // Nothing may only be nothing of what answered.
  if (isEmpty?.(data)) return html`<p class="empty">${empty}${data.partial ? html` · <${Partial} answer=${data} />` : null}</p>`
  // The same question asked again changes nothing that one sees: figures would blink every few seconds.
  const isOther = isLoading && isStale
  return html`<div class=${isOther ? "body is-loading" : "body"} aria-busy=${isOther}>${children(data)}</div>`
}

/** How far an answer is that takes long. @param {{job: any, onCancel?: () => void}} props */
function Working({ job, onCancel }) {
  const share = Math.floor(job.progress * 100)
  return html`<div class="working"><p>Reading every flow: ${share} %, ${Math.round(job.seconds)} s</p>
    <progress max="100" value=${share} aria-label="Flows read"></progress>
    ${onCancel && html`<button type="button" onClick=${onCancel}>Cancel</button>`}</div>`
}

/** @param {{error: any, retry?: () => void}} props */
export function Failure({ error, retry }) {
  return html`<div class="failure" role="alert"><p>${error.message}</p>
    ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}</div>`
}

export function Skeleton({ lines = 5 }) {
  return html`<div class="skeleton" role="status" aria-label="Loading">
    ${Array.from({ length: lines }, (_, index) => html`<i class=${`w${(index * 7) % 4}`} key=${index}></i>`)}</div>`
}

/**
 * One figure with its name.
 * @param {{name: string, value: any, note?: any, tone?: string}} props
 */
export function Figure({ name, value, note, tone = "" }) {
  return html`<div class=${`figure ${tone}`}><dt>${name}</dt><dd>${value}</dd>${note ? html`<dd class="note">${note}</dd>` : null}</div>`
}

/** A light with its word, never a colour alone. @param {{tone: string, children?: any}} props */
export function Light({ tone, children }) {
  return html`<span class=${`light ${tone}`}>${children}</span>`
}

/** Says what did not answer, such as a shard of a database. @param {{answer: any}} props */
export function Partial({ answer }) {
  if (!answer?.partial) return null
  return html`<${Light} tone="bad">partial<//> without ${answer.missing.join(", ")}`
}

/** How an answer came about: exact, or estimated with how much. @param {{answer: any, onExact?: () => void}} props */
export function Provenance({ answer, onExact }) {
  if (!answer) return null
  const seconds = answer.seconds < 0.1 ? "<0.1" : answer.seconds.toFixed(1)
  const rows = (answer.rows_scanned ?? 0).toLocaleString("en").replaceAll(",", "\u202f")
  // Whoever sees a part of the flows is not told how many there are.
  const source = answer.rows_scanned === null ? "" : ` from ${rows} flows`
  const all = (answer.rows_in_range ?? 0).toLocaleString("en").replaceAll(",", "\u202f")
  return html`<p class="provenance">
    ${answer.method !== "sampled"
      ? html`<${Light} tone=${answer.partial ? "bad" : "good"}>${answer.partial ? "partial" : "exact"}<//>${answer.method === "rollups" ? " from sums in the database" : source} in ${seconds} s`
      : html`<${Light} tone="warn">estimated<//>${source && ` from ${rows} of ${all} flows`} in ${seconds} s
        ${onExact && html` <button type="button" class="quiet" onClick=${onExact}>make it exact</button>`}`}
    ${answer.dedupe ? html` · ${answer.dedupe.text}` : null}
    ${answer.partial ? html` · without ${answer.missing.join(", ")}` : null}
    ${answer.left_out?.length ? html` · left out: ${answer.left_out.join(", ")}` : null}
  </p>`
}
