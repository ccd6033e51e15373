/** Dialogs by the browser's own element: the page behind is inert, Esc closes. */
import { html, useEffect, useRef, useState } from "../base.js"

/** @param {{title: string, onClose?: () => void, children?: any}} props */
export function Dialog({ title, onClose, children }) {
  const place = useRef(null)
  useEffect(() => {
    place.current?.showModal()
  }, [])
  const cancel = (event) => {
    event.preventDefault()
    onClose?.()
  }
  return html`<dialog ref=${place} onCancel=${cancel} aria-label=${title}><h2>${title}</h2>${children}</dialog>`
}

/**
 * Ask before something is done; where a word is named, it must be typed.
 * @param {{title: string, children?: any, action: string, word?: string, onClose: () => void, act: () => Promise<any>, isDangerous?: boolean}} props
 */
export function Confirm({ title, children, action, word, onClose, act, isDangerous = true }) {
  const [typed, setTyped] = useState("")
  const [problem, setProblem] = useState("")
  const [isBusy, setBusy] = useState(false)
  const submit = async (event) => {
    event.preventDefault()
    setBusy(true)
    setProblem("")
    try {
      await act()
      onClose()
    } catch (error) {
      setProblem(error.message)
      setBusy(false)
    }
  }
  return html`<${Dialog} title=${title} onClose=${onClose}><form onSubmit=${submit}>
    ${children}
    ${word ? html`<label>Type <b>${word}</b> to confirm<input value=${typed} onInput=${(event) => setTyped(event.target.value)} autocomplete="off" autofocus /></label>` : null}
    ${problem ? html`<p class="problem" role="alert">${problem}</p>` : null}
    <div class="row"><button class=${isDangerous ? "danger" : "primary"} disabled=${isBusy || (word && typed !== word)}>${action}</button>
    <button type="button" onClick=${onClose}>Cancel</button></div></form><//>`
}
