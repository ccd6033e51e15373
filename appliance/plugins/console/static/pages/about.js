/** What this appliance is: version, plugins, documentation, licences. */
import { html } from "../base.js"
import { useAnswer } from "../api.js"
import { Panel, Shown } from "../parts/state.js"
import { Table } from "../parts/table.js"

/** What the console itself holds of others. */
const OWN_LICENCES = new URL("../vendor/LICENSES.txt", import.meta.url).pathname
const LINKS = [
  ["/manual/", "Manual", "how to use it, chapter by chapter"],
  ["/api/docs", "API", "every route, with examples"],
  ["/api/openapi.json", "OpenAPI", "the same for programs"],
  ["/manual/security", "Security", "what protects this appliance, and how to report a weakness"],
  ["/metrics", "Metrics", "for Prometheus"],
]

export default function About({ session }) {
  const plugins = useAnswer("/api/v1/plugins")
  const packages = useAnswer("/api/v1/packages")
  return html`<div class="page-head"><h1>NetFlow appliance ${session.version}</h1><span class="note">Apache License 2.0</span></div>
    <${Panel} title="Documentation"><dl class="facts">${LINKS.map(([url, title, text]) => html`<dt key=${url}><a href=${url}>${title}</a></dt><dd>${text}</dd>`)}</dl><//>
    <${Panel} title="Plugins" note="in the order in which they are called"><${Shown} answer=${plugins}>${(data) => html`
      <${Table} caption="Plugins" columns=${PLUGIN_COLUMNS} rows=${data.plugins} keyOf=${(plugin) => plugin.name} />`}<//><//>
    <${Panel} title="Software of others" tools=${html`<a href=${OWN_LICENCES}>licences of the console's parts</a>`}><${Shown} answer=${packages}>${(data) => html`
      <${Table} caption="Python packages" columns=${PACKAGE_COLUMNS} rows=${data.packages} keyOf=${(one) => one.name} sort="name" />`}<//><//>`
}

const PLUGIN_COLUMNS = [
  { key: "name", title: "plugin", show: (plugin) => html`<b>${plugin.name}</b>` },
  { key: "from", title: "from" },
  { key: "hooks", title: "hooks", className: "wrap grown", value: (plugin) => plugin.hooks.length, show: (plugin) => html`<span class="note">${plugin.hooks.join(", ")}</span>` },
]

const PACKAGE_COLUMNS = [
  { key: "name", title: "Python package", show: (one) => html`<b>${one.name}</b>` },
  { key: "version", title: "version" },
  { key: "licence", title: "licence", className: "wrap grown", show: (one) => one.licence ?? html`<span class="note">not named by the package</span>` },
]
