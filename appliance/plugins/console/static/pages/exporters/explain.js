/** "Why is my data wrong?": drop a capture, see how each datagram is read. */
import { html, useState } from "../../base.js"
import { request } from "../../api.js"
import { Panel } from "../../parts/state.js"

const MOST_OCTETS = 900_000

export function Explain() {
  const [state, setState] = useState({ text: "", problem: "", isBusy: false, isOver: false })
  const explain = async (file) => {
    if (!file) return
    if (file.size > MOST_OCTETS) return setState({ ...state, problem: "At most 900 kB: a few hundred datagrams say what is wrong", isOver: false })
    setState({ text: "", problem: "", isBusy: true, isOver: false })
    try {
      const answer = await request("/api/v1/decode", { method: "POST", body: await file.arrayBuffer(), headers: { "Content-Type": "application/vnd.tcpdump.pcap" } })
      setState({ text: answer.text, problem: "", isBusy: false, isOver: false })
    } catch (error) {
      setState({ text: "", problem: error.message, isBusy: false, isOver: false })
    }
  }
  const over = (event) => {
    event.preventDefault()
    if (!state.isOver) setState({ ...state, isOver: true })
  }
  return html`<${Panel} title="Why is my data wrong?" note="a capture shows how each datagram is read">
    <label class=${state.isOver ? "drop is-over" : "drop"} onDragOver=${over} onDragLeave=${() => setState({ ...state, isOver: false })}
      onDrop=${(event) => { event.preventDefault(); explain(event.dataTransfer.files[0]) }}>
      <input type="file" accept=".pcap,.pcapng,.gz" onChange=${(event) => explain(event.target.files[0])} />
      <span>Drop a pcap or pcapng file here, made by <code>tcpdump -w flows.pcap udp port 2055</code>; templates must be in it.</span></label>
    ${state.isBusy ? html`<p role="status">Reading …</p>` : null}
    ${state.problem ? html`<p class="problem" role="alert">${state.problem}</p>` : null}
    ${state.text ? html`<pre class="tall" tabindex="0">${state.text}</pre>` : null}<//>`
}
