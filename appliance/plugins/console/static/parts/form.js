/** Fields of forms: label, help, error beside the field. */
import { html, Shared, useId, useRef, useState } from "../base.js"

/**
 * @param {{title: string, help?: any, problem?: string, options?: [string, string][], value?: any,
 *   onInput?: (value: string) => void, [more: string]: any}} props with options it is a choice
 */
export function Field({ title, help, problem, onInput, options, ...more }) {
  const id = useId("field")
  const described = problem || help ? `${id}-help` : undefined
  const common = {
    id, "aria-describedby": described, "aria-invalid": problem ? "true" : undefined,
    onInput: (event) => onInput?.(event.target.value), ...more,
  }
  return html`<div class=${problem ? "field is-wrong" : "field"}>
    <label for=${id}>${title}</label>
    ${options ? html`<select ...${common}>${options.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === more.value}>${text}</option>`)}</select>`
      : html`<input ...${common} />`}
    ${problem || help ? html`<p id=${described} class=${problem ? "problem" : "note"}>${problem || help}</p>` : null}
  </div>`
}

/**
 * A form: its values, whether it is being sent, and what the API says of which field.
 * @param {Record<string, string>} initial
 * @param {(values: Record<string, string>) => Promise<any>} act
 * @param {Record<string, RegExp>} [words] by which a sentence names its field
 */
export function useForm(initial, act, words) {
  const [values, setShown] = useState(initial)
  // What was typed last counts, even where it is sent before it is drawn.
  const latest = useRef(initial)
  /** @param {Record<string, string>} next */
  const setValues = (next) => {
    latest.current = next
    setShown(next)
  }
  const [problems, setProblems] = useState(/** @type {Record<string, string>} */ ({}))
  const [isBusy, setBusy] = useState(false)
  const submit = async (event) => {
    event.preventDefault()
    setBusy(true)
    setProblems({})
    try {
      await act(latest.current)
    } catch (error) {
      setProblems(problemsByField(error, Object.keys(initial), words))
    }
    setBusy(false)
  }
  const field = (name) => ({
    value: values[name] ?? "", problem: problems[name],
    onInput: (value) => setValues({ ...latest.current, [name]: value }),
  })
  return { values, setValues, field, submit, isBusy, problems, problem: problems[""] }
}

/**
 * Sort the sentences of an error by the field that they name; those of none stand under "".
 * @param {any} error @param {string[]} names of fields @param {Record<string, RegExp>} [words]
 * @returns {Record<string, string>}
 */
export function problemsByField(error, names, words = {}) {
  const sorted = /** @type {Record<string, string>} */ ({})
  const add = (name, text) => { sorted[name] = sorted[name] ? `${sorted[name]}. ${text}` : text }
  for (const part of error.parts ?? [error.message]) {
    if (typeof part === "object") {
      Object.entries(part).forEach(([name, text]) => add(names.includes(name) ? name : "", String(text)))
      continue
    }
    const [, first, rest] = /^([A-Za-z0-9]+): (.*)$/s.exec(part) ?? []
    const named = names.find((name) => name.toLowerCase() === first?.toLowerCase())
    if (named) add(named, rest.charAt(0).toUpperCase() + rest.slice(1))
    else add(names.find((name) => words[name]?.test(part)) ?? "", part)
  }
  return sorted
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

/** A text that is copied with one press. @param {{text: string, label?: string}} props */
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
