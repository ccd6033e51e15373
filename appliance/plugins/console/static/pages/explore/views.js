/** Questions with a name: one's own, and those that everybody sees. */
import { html, useState } from "../../base.js"
import { boundTo, send, useAnswer } from "../../api.js"
import { go } from "../../router.js"
import { Dialog } from "../../parts/dialog.js"
import { Field, notify } from "../../parts/form.js"

const PATH = "/api/v1/console/views"

export function Views() {
  const answer = useAnswer(PATH)
  const [isOpen, setOpen] = useState(false)
  const views = answer.data?.views ?? []
  const open = (event) => {
    const view = views[Number(event.target.value)]
    event.target.value = ""
    if (view) go(`/console/explore?${view.query}`)
  }
  return html`<span class="row views"><label><span class="hidden">Saved views</span><select onChange=${open} value="" disabled=${!views.length}>
      <option value="">${views.length ? "Saved views …" : "No saved views"}</option>
      ${views.map((view, index) => html`<option key=${view.id} value=${index}>${view.name}${view.is_shared ? ` (of ${view.owner})` : ""}</option>`)}</select></label>
    <button type="button" onClick=${() => setOpen(true)}>Save …</button></span>
    ${isOpen ? html`<${Save} views=${views} reload=${answer.reload} close=${() => setOpen(false)} />` : null}`
}

function Save({ views, reload, close }) {
  const [name, setName] = useState("")
  const [isShared, setShared] = useState(false)
  const [problem, setProblem] = useState("")
  const save = async (event) => {
    event.preventDefault()
    try {
      await send("POST", PATH, { name: name.trim(), query: location.search.slice(1), shared: isShared ? "yes" : "no" })
      notify(`Saved as ${name.trim()}`)
      reload()
      close()
    } catch (error) {
      setProblem(error.message)
    }
  }
  const remove = async (view) => {
    try {
      await send("DELETE", `${PATH}/${view.id}`)
      reload()
    } catch (error) {
      setProblem(error.message)
    }
  }
  const own = views.filter((view) => view.is_own)
  return html`<${Dialog} title="Save this view" onClose=${close}><form onSubmit=${save}>
    <${Field} title="Name" value=${name} onInput=${setName} problem=${problem} maxlength="80" required autofocus />
    ${boundTo.value ? null : html`<label class="check"><input type="checkbox" checked=${isShared} onChange=${(event) => setShared(event.target.checked)} />Everybody who signs in may see it</label>`}
    <div class="row"><button class="primary">Save</button><button type="button" onClick=${close}>Cancel</button></div>
    ${own.length ? html`<h3>Yours</h3><ul class="plain">${own.map((view) => html`<li key=${view.id} class="row"><span class="grow">${view.name}</span>
      <button type="button" aria-label=${`Delete ${view.name}`} onClick=${() => remove(view)}>Delete</button></li>`)}</ul>` : null}</form><//>`
}
