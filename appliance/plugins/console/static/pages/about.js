/** What runs here, and where to read on. */
import { html, useEffect, useState } from "../base.js"
import { useAnswer } from "../api.js"
import { span } from "../times.js"
import { Panel, Shown } from "../parts/state.js"
import { Table } from "../parts/table.js"

export default function About({ session }) {
  const health = useAnswer("/api/v1/health")
  const plugins = useAnswer("/api/v1/plugins")
  const links = [["/manual/", "Manual", "how to use it, chapter by chapter"], ["/api/docs", "API", "every route, with examples"],
    ["/api/openapi.json", "OpenAPI", "the same for programs"], ["/manual/security", "Security", "what is defended, and how to report"]]
  return html`<div class="page-head"><h1>About</h1></div>
    <div class="grid two">
      <${Panel} title="This appliance"><dl class="facts"><dt>Name</dt><dd>${session.hostname}</dd><dt>Version</dt><dd>${session.version}</dd>
        <dt>Zone</dt><dd>${session.zone}</dd><dt>Database</dt><dd>${health.data?.loader?.database ?? "…"}</dd>
        <dt>Answers lag by</dt><dd>${health.data ? span(health.data.loader?.lag_seconds ?? 0) : "…"}</dd></dl><//>
      <${Panel} title="To read"><dl class="facts">${links.map(([path, title, text]) => html`<dt key=${path}><a href=${path}>${title}</a></dt><dd>${text}</dd>`)}</dl><//>
    </div>
    <${Panel} title="Plugins"><${Shown} answer=${plugins}>${(data) => html`<${Table} caption="Plugins" sort="name" rows=${data.plugins} keyOf=${(row) => row.name} columns=${[
      { key: "name", title: "name", show: (row) => html`<b>${row.name}</b>` },
      { key: "from", title: "from" },
      { key: "hooks", title: "adds", className: "wrap", isFixed: true, show: (row) => row.hooks.map((hook) => hook.replace(/^register_/, "").replaceAll("_", " ")).join(", ") },
    ]} />`}<//><//>
    <${Licences} />`
}

/** The licences of what the browser loads; they lie beside this module. */
function Licences() {
  const [text, setText] = useState("")
  useEffect(() => {
    fetch(new URL("../vendor/LICENSES.txt", import.meta.url)).then((response) => response.text()).then(setText, () => setText("They cannot be read now."))
  }, [])
  return html`<${Panel} title="Licences" note="the appliance is under Apache-2.0; its console uses"><pre class="tall" tabindex="0">${text}</pre><//>`
}
