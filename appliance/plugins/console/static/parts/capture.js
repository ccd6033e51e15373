/** A capture of an exporter's datagrams, explained: what lies where, what it became, what was refused. */
import { html, useState } from "../base.js"
import { request } from "../api.js"
import { Panel } from "./state.js"

const PATH = "/api/v1/decode"
const TROUBLE = /^ {2}(refused|unsupported)|its template is not known|^ {2}sets_without_template/

/** Drop a capture here. */
export function CapturePanel() {
  const [state, setState] = useState(/** @type {{name?: string, data?: any, problem?: string, isBusy?: boolean}} */ ({}))
  const [isOver, setOver] = useState(false)
  const [isTroubleOnly, setTroubleOnly] = useState(false)
  const read = async (/** @type {File | undefined} */ file) => {
    if (!file) return
    setState({ name: file.name, isBusy: true })
    try {
      const headers = { "Content-Type": "application/octet-stream" }
      setState({ name: file.name, data: await request(PATH, { method: "POST", body: file, headers }) })
    } catch (error) {
      setState({ name: file.name, problem: error.message })
    }
  }
  const { data, problem, name, isBusy } = state
  const troubled = data ? troubledLines(data.lines) : []
  return html`<${Panel} title="Why is my data wrong?">
    <div class=${isOver ? "drop is-over" : "drop"} onDragOver=${(event) => { event.preventDefault(); setOver(true) }} onDragLeave=${() => setOver(false)}
      onDrop=${(event) => { event.preventDefault(); setOver(false); read(event.dataTransfer.files[0]) }}>
      <p>Drop a capture of an exporter's datagrams here, such as <code>tcpdump -c 500 -w flows.pcap udp port 2055</code> makes, or${" "}
        <label class="button">choose a file<input type="file" class="hidden" accept=".pcap,.pcapng,.cap" aria-label="Capture" onChange=${(event) => { read(event.target.files[0]); event.target.value = "" }} /></label></p>
      <p class="note">It is decoded as the collector would, beginning with no templates known, and kept nowhere.</p></div>
    ${isBusy ? html`<p role="status">Reading ${name} …</p>` : null}
    ${problem ? html`<div class="failure" role="alert"><p><b dir="auto">${name}</b>: ${problem}</p></div>` : null}
    ${data ? html`<div class="row list-tools"><p role="status"><b dir="auto">${name}</b>: ${data.summary}</p><span class="gap"></span>
      <div class="segments" role="group" aria-label="Which datagrams">
        <button type="button" aria-pressed=${!isTroubleOnly} onClick=${() => setTroubleOnly(false)}>All</button>
        <button type="button" aria-pressed=${isTroubleOnly} disabled=${!troubled.length} onClick=${() => setTroubleOnly(true)}>Only trouble</button></div></div>
      ${data.warnings.map((text) => html`<p class="note" key=${text}>${text}</p>`)}
      <pre class="explained" tabindex="0" role="region" aria-label="Datagrams explained">${(isTroubleOnly ? troubled : data.lines).join("\n")}</pre>
      ${data.is_cut ? html`<p class="note">More than is shown here: <code>appliance decode --explain</code> shows all.</p>` : null}` : null}<//>`
}

/** Return what was refused or waits, below the line of its datagram. @param {string[]} lines */
export function troubledLines(lines) {
  const found = []
  let datagram = ""
  for (const line of lines) {
    if (line.startsWith("datagram ")) datagram = line
    else if (TROUBLE.test(line)) {
      if (datagram) found.push(datagram)
      datagram = ""
      found.push(line)
    }
  }
  return found
}
