/** What an address is called: AS, country and network as its newest flow has them, and its name in the DNS. */
import { html, useEffect, useState } from "../base.js"
import { useAnswer } from "../api.js"
import { address, Link } from "../router.js"
import { asText, quote } from "../labels.js"
import { Panel } from "./state.js"

const AGAIN_MS = 1000
const NETWORK_FACTS = [["Network", "network"], ["Site", "site"], ["Role", "role"]]

/** @param {{host: string, flow?: any}} props `flow`: its newest one */
export function AddressNames({ host, flow }) {
  const names = useAnswer("/api/v1/names").data
  const reverse = useReverseName(host)
  if (!names) return null
  const side = flow?.source_address === host ? "source" : "destination"
  const facts = [["Reverse name", reverseText(reverse, names.reverse)], ...factsOf(flow, side)]
  const missing = [names.as_database ? null : "AS", names.country_database ? null : "countries", names.networks.length ? null : "networks"].filter(Boolean)
  return html`<${Panel} title="Names"><dl class="facts">${facts.map(([name, value]) => html`<dt key=${name}>${name}</dt><dd dir="auto">${value}</dd>`)}</dl>
    ${missing.length ? html`<p class="note below">Not configured: ${missing.join(", ")}. <${Link} to=${address("start")}>How to<//></p>` : null}<//>`
}

/** @returns {[string, any][]} */
function factsOf(flow, side) {
  /** @type {[string, any][]} */
  const facts = []
  const add = (title, value, filter, text = String(value)) => {
    if (value) facts.push([title, html`<${Link} to=${address("explore", { filter, by: "host" })}>${text}<//>`])
  }
  const number = flow?.[`bgp_${side}_as_number`]
  add("AS", number, `as ${number}`, asText(number, flow?.[`bgp_${side}_as_name`]))
  const country = flow?.[`${side}_country`]
  add("Country", country, `country ${country}`, country && countryText(country))
  for (const [title, kind] of NETWORK_FACTS) {
    const value = flow?.[`${side}_${kind}`]
    add(title, value, `${kind} ${quote(value)}`)
  }
  return facts
}

/** A country's code with its name. @param {string} code */
export function countryText(code) {
  try {
    return `${code} ${new Intl.DisplayNames(["en"], { type: "region" }).of(code)}`
  } catch {
    return code
  }
}

/** Ask for the name of an address until the DNS has answered. @param {string} host */
function useReverseName(host) {
  const [isPending, setPending] = useState(false)
  const answer = useAnswer("/api/v1/names/reverse", { address: host }, { everyMs: isPending ? AGAIN_MS : 0 })
  useEffect(() => setPending(answer.data?.state === "pending"), [answer.data])
  return answer.data
}

function reverseText(reverse, allowed) {
  switch (reverse?.state) {
    case "named": return reverse.name
    case "nameless": return "none in the DNS"
    case "failed": return "the DNS does not answer"
    case "not asked": return allowed === "off" ? "not asked for (names.reverse: off)" : "not asked for, as it is outside (names.reverse: all asks)"
    default: return "…"
  }
}
