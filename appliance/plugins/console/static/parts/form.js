/** Fields of forms: label, help, error beside the field. */
import { html, Shared, useId, useState } from "../base.js"

/** @param {{title: string, help?: any, problem?: string, children?: any, value?: any, onInput?: (value: string) => void, [more: string]: any}} props */
export function Field({ title, help, problem, onInput, children, ...more }) {
  const id = useId("field")
  const described = problem || help ? `${id}-help` : undefined
  return html`<div class=${problem ? "field is-wrong" : "field"}>
    <label for=${id}>${title}</label>
    ${children ?? html`<input id=${id} aria-describedby=${described} aria-invalid=${problem ? "true" : undefined}
      onInput=${(event) => onInput?.(event.target.value)} ...${more} />`}
    ${problem || help ? html`<p id=${described} class=${problem ? "problem" : "note"}>${problem || help}</p>` : null}
  </div>`
}

/** @param {{title: string, value: string, options: [string, string][], onInput: (value: string) => void, isHidden?: boolean}} props */
export function Select({ title, value, options, onInput, isHidden = false }) {
  return html`<label class="select"><span class=${isHidden ? "hidden" : ""}>${title}</span><select value=${value} onChange=${(event) => onInput(event.target.value)}>
    ${options.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === value}>${text}</option>`)}</select></label>`
}

/** What has just happened, for a while. */
export const notices = new Shared(/** @type {{id: number, text: string, tone: string}[]} */ ([]))
let lastNotice = 0

/** @param {string} text @param {string} [tone] `good` or `bad` */
export function notify(text, tone = "good") {
  const id = ++lastNotice
  notices.set([...notices.value, { id, text, tone }])
  window.setTimeout(() => notices.set(notices.value.filter((one) => one.id !== id)), tone === "bad" ? 12_000 : 5000)
}

export function Notices() {
  const shown = notices.use()
  return html`<div class="notices" role="status" aria-live="polite">${shown.map((one) => html`<p key=${one.id} class=${one.tone}>${one.text}</p>`)}</div>`
}

/** A text that is copied with one press. @param {{text: string, children?: any}} props */
export function Copyable({ text, label = "Copy" }) {
  const [isDone, setDone] = useState(false)
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
    } catch {
      copyBySelection(text)
    }
    setDone(true)
    window.setTimeout(() => setDone(false), 1500)
  }
  return html`<div class="copyable"><pre tabindex="0">${text}</pre><button type="button" onClick=${copy}>${isDone ? "Copied" : label}</button></div>`
}

/** Without HTTPS a browser has no clipboard for scripts. @param {string} text */
function copyBySelection(text) {
  const area = document.createElement("textarea")
  area.value = text
  document.body.append(area)
  area.select()
  document.execCommand("copy")
  area.remove()
}
