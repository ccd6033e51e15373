/** Dimensions of the query engine: what a group is called, and the filter that shows only it. */

const PROTOCOLS = {
  1: "ICMP", 2: "IGMP", 4: "IPv4", 6: "TCP", 17: "UDP", 41: "IPv6", 47: "GRE", 50: "ESP", 51: "AH",
  58: "ICMPv6", 88: "EIGRP", 89: "OSPF", 103: "PIM", 112: "VRRP", 115: "L2TP", 132: "SCTP",
}
const DIRECTIONS = { 0: "ingress", 1: "egress" }
const VERSIONS = { 1: "NetFlow v1", 5: "NetFlow v5", 7: "NetFlow v7", 9: "NetFlow v9", 10: "IPFIX", 105: "sFlow v5" }

/** What the pages offer, in this order; the API may know more. */
export const DIMENSIONS = [
  ["source", "Source address"],
  ["destination", "Destination address"],
  ["host", "Host, either side"],
  ["conversation", "Conversation"],
  ["application", "Application"],
  ["protocol", "Protocol"],
  ["service", "Service"],
  ["source_port", "Source port"],
  ["destination_port", "Destination port"],
  ["exporter", "Exporter"],
  ["interface", "Interface"],
  ["ingress_interface", "Interface in"],
  ["egress_interface", "Interface out"],
  ["vrf", "VRF, either side"],
  ["ingress_vrf", "VRF in"],
  ["egress_vrf", "VRF out"],
  ["as", "AS, either side"],
  ["source_as", "Source AS"],
  ["destination_as", "Destination AS"],
  ["source/24", "Source network /24"],
  ["destination/24", "Destination network /24"],
  ["next_hop", "Next hop"],
  ["direction", "Direction"],
  ["dscp", "DSCP"],
  ["tcp_flags", "TCP flags"],
  ["vlan", "VLAN"],
  ["version", "Export protocol"],
  ["packet_size", "Packet size"],
  ["duration", "Duration"],
  ["hour", "Hour of the day"],
]

const SIDES_OF_NAMES = [["", "either side"], ["source_", "source"], ["destination_", "destination"]]

/** @param {string[]} kinds @returns {[string, string][]} */
function bothSides(...kinds) {
  return kinds.flatMap((kind) => SIDES_OF_NAMES.map(([prefix, side]) => /** @type {[string, string]} */ ([`${prefix}${kind}`, `${kind[0].toUpperCase()}${kind.slice(1)}, ${side}`])))
}

const OF_COUNTRIES = bothSides("country")
const OF_NETWORKS = [...bothSides("network", "site", "role"), ["traffic_direction", "Direction between networks"]]

/** What the pages offer where addresses have names: `/api/v1/names` says which. @param {any} [names] */
export function dimensionsWith(names) {
  return [...DIMENSIONS, ...(names?.country_database ? OF_COUNTRIES : []), ...(names?.networks.length ? OF_NETWORKS : [])]
}

/** @param {string} name */
export function dimensionTitle(name) {
  return [...DIMENSIONS, ...OF_COUNTRIES, ...OF_NETWORKS].find(([key]) => key === name)?.[1] ?? name
}

/** @param {string} text */
export function quote(text) {
  return `"${String(text).replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`
}

/** @param {number | null} number */
export function protocolName(number) {
  return number === null || number === undefined ? "unknown" : (PROTOCOLS[number] ?? String(number))
}

/**
 * Return for each dimension of a row: its text, a second text, the filter for it (null: none).
 * @param {Record<string, any>} keys of the API's row
 * @returns {{kind: string, text: string, note?: string, filter: string | null}[]}
 */
export function cells(keys) {
  const found = []
  const add = (kind, text, filter, note) => found.push({ kind, text, filter, note })
  const rest = new Set(Object.keys(keys))
  /** @param {...string} names */
  const take = (...names) => {
    const has = names.every((name) => rest.has(name))
    if (has) names.forEach((name) => rest.delete(name))
    return has
  }
  const sides = SIDES.filter(([side]) => rest.has(side))
  for (const name of Object.keys(keys)) {
    if (!rest.has(name)) continue
    const value = keys[name]
    const isAbsent = value === null || value === undefined
    if (name === "application_id" && take("application_id", "application_name")) {
      const title = keys.application_name
      // Several names, of sessions that differ, are none that a filter knows.
      const isOne = title && !title.includes(" / ")
      add("application", title || (isAbsent ? "not told" : `id ${value}`), isOne ? `app ${quote(title)}` : null)
    } else if (name === "exporter_address" && sides.length) {
      rest.delete(name)
      sides.forEach(([side, word], index) => {
        const prefix = index ? side : "interface"
        take(side), take(`${prefix}_name`), take(`${prefix}_description`)
        const number = keys[side]
        const isKnown = number !== null && number !== undefined
        add("interface", keys[`${prefix}_name`] || (isKnown ? `if ${number}` : "not told"),
          isKnown ? `exporter ${value} and ${word} ${number}` : null,
          [value, keys[`${prefix}_description`]].filter(Boolean).join(" · "))
      })
    } else if (AS_WORDS[name]) {
      const title = name.replace(/_number$/, "_name")
      take(name), take(title)
      add(...(isAbsent ? absent("as") : ["as", asText(value, keys[title]), `${AS_WORDS[name]} ${value}`]))
    } else if (take(name)) {
      add(...cell(name, value, isAbsent))
    }
  }
  return found
}

const SIDES = [["interface", "if"], ["ingress_interface", "in if"], ["egress_interface", "out if"]]

const AS_WORDS = { bgp_as_number: "as", bgp_source_as_number: "src as", bgp_destination_as_number: "dst as" }

/** What an AS is called: its number, and its name where a database tells one. @param {number} number @param {string | null} [name] */
export function asText(number, name) {
  return name ? `AS${number} ${name}` : `AS${number}`
}

/** @returns {[string, string, null]} */
function absent(kind) {
  return [kind, "not told", null]
}

/** How a filter says a column of one side. @param {string} name */
function words(name) {
  return name.replace(/^source_/, "src ").replace(/^destination_/, "dst ")
}

/** @returns {[string, string, string | null]} */
function cell(name, value, isAbsent) {
  /** @returns {[string, string, string | null]} */
  const simple = (kind, word, text = String(value)) => isAbsent ? absent(kind) : [kind, text, `${word} ${value}`]
  switch (name) {
    case "source_address": return simple("address", "src ip")
    case "destination_address": return simple("address", "dst ip")
    case "host_address": case "one_address": case "other_address": return simple("address", "host")
    case "source_prefix": return simple("prefix", "src net")
    case "destination_prefix": return simple("prefix", "dst net")
    case "protocol_identifier": return simple("protocol", "proto", protocolName(value))
    case "source_transport_port": case "source_port": return simple("port", "src port")
    case "destination_transport_port": case "destination_port": return simple("port", "dst port")
    case "transport_port": case "service_port": return simple("port", "port")
    case "exporter_address": return simple("exporter", "exporter")
    case "ip_next_hop_address": return simple("address", "next ip")
    case "flow_direction": return isAbsent ? absent("direction") : ["direction", DIRECTIONS[value] ?? String(value), `direction=${value}`]
    case "vrf_id": return simple("vrf", "vrf")
    case "ingress_vrf_id": return simple("vrf", "in vrf")
    case "egress_vrf_id": return simple("vrf", "out vrf")
    case "vlan_id": return simple("vlan", "vlan")
    case "dscp": return simple("dscp", "dscp")
    case "ip_class_of_service": return simple("tos", "tos")
    case "tcp_control_bits": return ["flags", value || "none", null]
    case "export_protocol_version": return simple("version", "version", VERSIONS[value] ?? String(value))
    case "country": case "source_country": case "destination_country": return simple("country", words(name))
    case "traffic_direction": return simple("direction", "traffic_direction")
    case "network": case "source_network": case "destination_network":
    case "site": case "source_site": case "destination_site":
    case "role": case "source_role": case "destination_role":
      return isAbsent ? ["network", "none", null] : ["network", String(value), `${words(name)} ${quote(value)}`]
    case "hour": return [name, `${String(value).padStart(2, "0")}:00 UTC`, null]
    default: return [name, isAbsent ? "not told" : String(value), null]
  }
}

/** @param {Record<string, any>} keys @param {boolean} [isOther] */
export function labelOf(keys, isOther = false) {
  if (isOther) return "everything else"
  const texts = cells(keys).map((c) => c.text)
  return texts.join(" – ") || "all traffic"
}

/** Join filters, each in parentheses where it needs them. @param {(string | null | undefined)[]} filters */
export function joinFilters(...filters) {
  const found = filters.map((text) => text?.trim()).filter(Boolean)
  if (found.length < 2) return found[0] ?? ""
  return found.map((text) => (/\b(or|and|not)\b|[|&!#]/.test(text ?? "") ? `(${text})` : text)).join(" and ")
}

const FIGURES = /^((octets|packets|flows)(_error)?|sampled_rows)$/

/** The keys of a row of `/api/v1/explore/top`, without its figures. @param {Record<string, any>} row */
export function keysOf(row) {
  return Object.fromEntries(Object.entries(row).filter(([name]) => !FIGURES.test(name)))
}
