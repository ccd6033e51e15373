"""What a row must hold, from the fields that `decode` prints: the rules of the quirks, written a
second time.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any, NamedTuple

from appliance.flows import COLUMN, UNKNOWN_PROTOCOL


def _first(record: dict[str, Any], *names: str) -> Any:
    for name in names:
        value = record.get(name)
        if value is not None:
            return value[0] if isinstance(value, list) else value
    return None


DAY_MS = 86_400_000


class Clock(NamedTuple):
    """The uptime in the header, of IPFIX the last one in the message, and the boot times that
    options records told (IPFIX)."""

    uptime: int
    boots: list[int]


def compare(record: dict[str, Any], row: dict[str, Any], clock: Clock, named: list[str]) -> None:
    """Compare; `named`: the exporters that options records of the record's domain name."""
    expected = _expected(record)
    assert row["exporter_address"] in (record["_exporter"], *named)
    if record["_kind"] == "flow":
        expected |= _expected_flow(record)
        boots = [None, *clock.boots]
        assert _times(row) in [_expected_times(record, clock.uptime, boot) for boot in boots]
    if SECTIONS & set(record):
        # The headers of the sampled packet fill what no element does.
        expected = {name: value for name, value in expected.items() if value is not None}
    assert {name: row.get(name) for name in expected} == expected, record


SECTIONS = {"dataLinkFrameSection", "ipHeaderPacketSection", "ipPayloadPacketSection"}


NUMBERS = {
    "ip_class_of_service": ("ipClassOfService",),
    "tcp_control_bits": ("tcpControlBits",),
    "ingress_interface": ("ingressInterface", "ingressPhysicalInterface"),
    "egress_interface": ("egressInterface", "egressPhysicalInterface"),
    "bgp_source_as_number": ("bgpSourceAsNumber",),
    "bgp_destination_as_number": ("bgpDestinationAsNumber",),
    "forwarding_status": ("forwardingStatus",),
    "flow_end_reason": ("flowEndReason",),
    "vlan_id": ("vlanId", "dot1qVlanId"),
    "post_vlan_id": ("postVlanId", "postDot1qVlanId"),
    "ingress_vrf_id": ("ingressVRFID",),
    "egress_vrf_id": ("egressVRFID",),
    "ip_version": ("ipVersion",),
    "flow_label_ipv6": ("flowLabelIPv6",),
    "flow_id": ("flowId",),
    "nat_event": ("natEvent",),
    "post_napt_source_transport_port": ("postNAPTSourceTransportPort",),
    "post_napt_destination_transport_port": ("postNAPTDestinationTransportPort",),
}
MACS = {
    "source_mac_address": ("sourceMacAddress", "postSourceMacAddress"),
    "destination_mac_address": ("destinationMacAddress", "postDestinationMacAddress"),
}


def _expected(record: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "observation_domain_id": record["_domain"] or None,
        "export_protocol_version": record["_version"],
    }
    for column, names in NUMBERS.items():
        bits = 8 * COLUMN[column].dtype.itemsize
        value = _first(record, *names)
        if isinstance(value, str):
            value = int(value, 16)
        found[column] = None if value is None else value % (1 << bits) or None
    found["protocol_identifier"] = _protocol(record)
    for column, names in MACS.items():
        mac = _first(record, *names)
        found[column] = None if mac is None else int(mac.replace(":", ""), 16) or None
    application = _first(record, "applicationId")
    if application is not None:
        octets = bytes.fromhex(application)
        selector = int.from_bytes(octets[1:], "big")
        found["application_id"] = (octets[0] << 56 | selector) or None
    return found


def _protocol(record: dict[str, Any]) -> int | None:
    told = _first(record, "protocolIdentifier")
    if told is not None or record["_kind"] != "flow":
        return None if told == UNKNOWN_PROTOCOL else told
    for number, name in ((1, "icmpTypeCodeIPv4"), (58, "icmpTypeCodeIPv6")):
        if name in record and (record[name] or "sourceTransportPort" not in record):
            return number
    return None


def _expected_flow(record: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for end in ("source", "destination"):
        six, four = _first(record, f"{end}IPv6Address"), _first(record, f"{end}IPv4Address")
        version = _first(record, "ipVersion")
        if six is not None and four is not None:
            is_v6 = version == 6 if version in (4, 6) else int(ipaddress.ip_address(six)) > 0
            address = six if is_v6 else four
        else:
            is_v6, address = four is None, six or four
        found[f"{end}_address"] = None if address == "::" else address
        lengths = [
            _first(record, f"{end}IPv{v}PrefixLength") for v in ((6, 4) if is_v6 else (4, 6))
        ]
        found[f"{end}_prefix_length"] = next((n for n in lengths if n is not None), None) or None
        ports = [_first(record, f"{kind}{end.title()}Port") for kind in ("udp", "tcp")]
        ports.insert(0, _first(record, f"{end}TransportPort"))
        found[f"{end}_transport_port"] = next((port for port in ports if port), None)
    octets = ("octetDeltaCount", "postOctetDeltaCount", "layer2OctetDeltaCount")
    packets = ("packetDeltaCount", "postPacketDeltaCount", "packetTotalCount", "initiatorPackets")
    found["octet_delta_count"] = (
        _first(record, *octets, "octetTotalCount", "initiatorOctets") or None
    )
    found["packet_delta_count"] = _first(record, *packets) or None
    direction = _first(record, "flowDirection")
    if direction in (0, 1):
        found["flow_direction"] = direction
    return found


def _expected_times(record: dict[str, Any], uptime: int, boot: int | None) -> tuple[int, int]:
    start = _start_or_end(record, "flowStart", uptime, boot)
    end = _start_or_end(record, "flowEnd", uptime, boot)
    observed = _first(
        record,
        *(f"observationTime{unit}" for unit in ("Milliseconds", "Microseconds", "Nanoseconds")),
        "observationTimeSeconds",
    )
    duration = _first(record, "flowDurationMilliseconds") or 0
    if start is None and end is None:
        end = record["_exportTime"] if observed is None else observed
        start = end - duration
    elif end is None:
        end = start + duration if duration or observed is None else observed
    elif start is None:
        start = end - duration
    return min(start, end), max(start, end)


def _times(row: dict[str, Any]) -> tuple[int, int]:
    return row.get("flow_start_milliseconds", 0), row.get("flow_end_milliseconds", 0)


def _start_or_end(record: dict[str, Any], name: str, uptime: int, told: int | None) -> int | None:
    units = ("Milliseconds", "Microseconds", "Nanoseconds", "Seconds")
    absolute = _first(record, *(f"{name}{unit}" for unit in units))
    at = _first(record, f"{name}SysUpTime")
    if absolute is not None or at is None:
        return absolute
    boot = _first(record, "systemInitTimeMilliseconds")
    if boot is None and record["_version"] == 10:
        boot = told
    if boot is not None:
        uptime = record["_exportTime"] - boot
    time = _of_uptime(record, at, uptime)
    return int(record["_exportTime"]) if time - record["_exportTime"] > DAY_MS else time


def _of_uptime(record: dict[str, Any], at: int, uptime: int) -> int:
    behind = (uptime - at) % (1 << 32)
    return int(record["_exportTime"] - (behind - (1 << 32) if behind >= 1 << 31 else behind))


def derived(record: dict[str, Any], row: dict[str, Any], uptime: int) -> dict[str, Any]:
    """Return what the checker compares as derived from uptimes, where it has an opinion."""
    start, end = _times(row)
    uptimes = record.get("flowStartSysUpTime"), record.get("flowEndSysUpTime")
    if None in uptimes or record["_version"] == 10 or uptimes[0] > uptimes[1]:
        return {}
    if any(_of_uptime(record, at, uptime) > record["_exportTime"] + DAY_MS for at in uptimes):
        return {}
    return {"flowStartMilliseconds": start, "flowEndMilliseconds": end}


def expected_reverse(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if record["_kind"] != "flow":
        return
    octets = _first(record, "reverseOctetDeltaCount", "reverseOctetTotalCount")
    packets = _first(record, "reversePacketDeltaCount", "reversePacketTotalCount")
    if octets is None and packets is None and "initiatorOctets" in record:
        octets, packets = _first(record, "responderOctets"), _first(record, "responderPackets")
    if octets is None and packets is None and "octetDeltaCount" in record:
        octets = _first(record, "postOctetDeltaCount")
        packets = _first(record, "postPacketDeltaCount")
    if not (octets if packets is None else packets):
        return
    forward = _expected_flow(record)
    row = {
        "source_address": forward["destination_address"],
        "destination_address": forward["source_address"],
        "octet_delta_count": octets,
        "packet_delta_count": packets,
    }
    yield {name: value for name, value in row.items() if value}
