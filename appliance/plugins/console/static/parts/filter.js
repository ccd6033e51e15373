/** The box for a filter: completion while typing, and an error at its place. */
import { html, useEffect, useId, useRef, useState } from "../base.js"
import { get } from "../api.js"

const WAIT_MS = 120
const PLACE = /^line (\d+), column (\d+): /i

/**
 * @param {{value: string, onApply?: (text: string) => void, onText?: (text: string) => void, problem?: string, placeholder?: string}} props
 *   onText: hears of each change, for a field of a form, which has a button of its own
 */
export function FilterBox({ value, onApply = () => {}, onText, problem = "", placeholder = "src ip 10.0.0.0/8 and dst port 443" }) {
  const [text, setText] = useState(value)
  const [found, setFound] = useState({ items: [], from: 0, to: 0 })
  const [chosen, setChosen] = useState(-1)
  const field = useRef(null)
  const asked = useRef({ timer: 0, controller: null })
  const id = useId("filter")
  useEffect(() => setText(value), [value])
  const say = (now) => {
    setText(now)
    onText?.(now)
  }
  const close = () => {
    setFound({ items: [], from: 0, to: 0 })
    setChosen(-1)
  }
  const ask = (now, cursor) => {
    clearTimeout(asked.current.timer)
    asked.current.controller?.abort()
    asked.current.timer = window.setTimeout(async () => {
      const controller = new AbortController()
      asked.current.controller = controller
      try {
        const answer = await get("/api/v1/explore/complete", { text: now, cursor }, controller.signal)
        if (document.activeElement !== field.current) return
        setFound({ items: answer.suggestions.slice(0, 12), from: answer.from, to: answer.to })
        setChosen(-1)
      } catch {
        close()
      }
    }, WAIT_MS)
  }
  const take = (item) => {
    const before = text.slice(0, found.from)
    const next = `${before}${item.text}${text.slice(found.to).startsWith(" ") ? "" : " "}`
    const whole = next + text.slice(found.to)
    say(whole)
    close()
    requestAnimationFrame(() => {
      field.current?.focus()
      field.current?.setSelectionRange(next.length, next.length)
      ask(whole, next.length)
    })
  }
  const apply = () => {
    clearTimeout(asked.current.timer)
    close()
    onApply(text.trim())
  }
  const key = (event) => {
    const count = found.items.length
    if (event.key === "ArrowDown" && count) setChosen((chosen + 1) % count)
    else if (event.key === "ArrowUp" && count) setChosen((chosen - 1 + count) % count)
    else if (event.key === "Tab" && chosen >= 0) take(found.items[chosen])
    else if (event.key === "Enter" && chosen >= 0) take(found.items[chosen])
    else if (event.key === "Enter" && !onText) apply()
    else if (event.key === "Escape" && count) close()
    else return
    event.preventDefault()
  }
  const input = (event) => {
    say(event.target.value)
    ask(event.target.value, event.target.selectionStart)
  }
  const place = PLACE.exec(problem)
  return html`<div class="filter">
    <div class="filter-field">
      <input ref=${field} type="text" value=${text} onInput=${input} onKeyDown=${key}
        onFocus=${() => !text && ask("", 0)} onBlur=${() => window.setTimeout(close, 150)}
        placeholder=${placeholder} spellcheck="false" autocomplete="off" autocapitalize="off" maxlength="4000"
        role="combobox" aria-label="Filter" aria-expanded=${found.items.length > 0} aria-controls=${id}
        aria-autocomplete="list" aria-invalid=${problem ? "true" : undefined} data-filter
        aria-activedescendant=${chosen >= 0 ? `${id}-${chosen}` : undefined} />
      ${text ? html`<button type="button" aria-label="Clear the filter" title="Clear" onClick=${() => { say(""); onApply("") }}>×</button>` : null}
      ${onText ? null : html`<button type="button" class="primary" onClick=${apply}>Apply</button>`}
    </div>
    <ul id=${id} role="listbox" aria-label="What may come next" hidden=${!found.items.length}>
      ${found.items.map((item, index) => html`<li key=${item.text} id=${`${id}-${index}`} role="option" aria-selected=${index === chosen}
        onMouseDown=${(event) => { event.preventDefault(); take(item) }}><b>${item.text}</b><span>${item.note}</span></li>`)}</ul>
    ${problem ? html`<p class="problem" role="alert">${place ? html`<code class="place">${text.slice(0, Number(place[2]) - 1)}<mark>${text.slice(Number(place[2]) - 1) || " "}</mark></code>` : null}${problem}</p>` : null}
  </div>`
}
