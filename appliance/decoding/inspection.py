"""Records as people read them: every field of what the decoders found, by its registered name.

Serves `appliance decode`. The octets come from the record groups that decoding returned; here they
only get their names (IANA's registry) and their text. Unknown elements are called
`enterprise<number>.<id>`, `v9field<type>` or `field<id>`.
"""

from __future__ import annotations

import ipaddress
import math
import struct
from collections.abc import Iterator
from typing import Any

from appliance.decoding.groups import RecordGroup
from appliance.decoding.results import DecodeResult
from appliance.decoding.times import NTP_TO_UNIX_SECONDS
from appliance.flows import address_text
from appliance.information_elements import element_by_id
from appliance.wire.template import REVERSE_PEN, V9_SCOPE, FieldSpecifier

_SCOPES = {
    1: "scopeSystem",
    2: "scopeInterface",
    3: "scopeLineCard",
    4: "scopeCache",
    5: "scopeTemplate",
}
_LAST_IANA = 512
_PADDING = 210


def field_name(version: int, field: FieldSpecifier) -> str:
    """Name a field: IANA's name, for v9 and v5 as well, or what to call an unknown one."""
    if field.enterprise == V9_SCOPE:
        return _SCOPES.get(field.element, f"scope{field.element}")
    if field.enterprise == REVERSE_PEN:
        name = field_name(10, FieldSpecifier(field.element, field.length))
        return f"reverse{name[0].upper()}{name[1:]}"
    known = element_by_id(field.enterprise, field.element)
    if field.enterprise:
        return f"enterprise{field.enterprise}.{field.element}"
    if known is not None and field.element <= _LAST_IANA:
        return known.name
    return f"v9field{field.element}" if version == 9 else f"field{field.element}"


def field_type(field: FieldSpecifier) -> str:
    """Return the abstract data type (RFC 7012 section 3.1); octetArray for unknown elements."""
    if field.enterprise == V9_SCOPE:
        return "unsigned64"
    enterprise = 0 if field.enterprise == REVERSE_PEN else field.enterprise
    known = element_by_id(enterprise, field.element)
    return "octetArray" if known is None or enterprise else known.data_type


def field_value(field: FieldSpecifier, octets: bytes) -> Any:
    """Turn the octets of a field into a number, a text or, where nothing fits, hexadecimal."""
    return _value(field_type(field), octets)


def record_fields(group: RecordGroup, index: int) -> dict[str, Any]:
    """Return the fields of one record by name; what occurs several times is a list."""
    found: dict[str, Any] = {}
    several: set[str] = set()
    for field, octets in zip(group.plan.fields, group.records.record(index), strict=True):
        if not octets or (field.enterprise == 0 and field.element == _PADDING):
            continue
        name, value = field_name(group.plan.version, field), field_value(field, octets)
        if name not in found:
            found[name] = value
        elif name in several:
            found[name].append(value)
        else:
            found[name] = [found[name], value]
            several.add(name)
    return found


def inspected_records(result: DecodeResult) -> Iterator[dict[str, Any]]:
    """Yield each record that was decoded, fields by name, facts of its message with underscores.

    `_exportTime` is in milliseconds UTC; `_kind` is `flow` or `options`.
    """
    seen: set[int] = set()
    for group in result.groups:
        if id(group.records) not in seen:
            seen.add(id(group.records))
            yield from _of_group(group)


def _of_group(group: RecordGroup) -> Iterator[dict[str, Any]]:
    arrivals, index = group.arrivals, 0
    identifiers = group.template_ids.tolist()
    sets = zip(group.arrival.tolist(), group.counts.tolist(), identifiers, strict=True)
    for row, count, template_id in sets:
        about = {
            "_kind": "options" if group.plan.options else "flow",
            "_exporter": address_text(int(arrivals.address_hi[row]), int(arrivals.address_lo[row])),
            "_version": group.plan.version,
            "_domain": int(arrivals.domain[row]),
            "_sequence": int(arrivals.sequence[row]),
            "_exportTime": int(arrivals.export_ms[row]),
            **({"_templateId": template_id} if template_id else {}),
        }
        for _ in range(count):
            yield about | record_fields(group, index)
            index += 1


def _value(data_type: str, octets: bytes) -> Any:
    n = len(octets)
    if data_type.startswith("unsigned"):
        return int.from_bytes(octets, "big")
    if data_type.startswith("signed"):
        return int.from_bytes(octets, "big", signed=True)
    if data_type.startswith("float") and n in (4, 8):
        number = struct.unpack("!f" if n == 4 else "!d", octets)[0]
        # JSON knows no infinity.
        return number if math.isfinite(number) else str(number)
    if data_type == "boolean" and n == 1:
        return {1: True, 2: False}.get(octets[0], octets[0])
    if data_type in ("ipv4Address", "ipv6Address") and n in (4, 16):
        return str(ipaddress.ip_address(octets))
    if data_type == "macAddress" and n == 6:
        return octets.hex(":")
    if data_type == "string":
        return _text(octets)
    if data_type.startswith("dateTime"):
        return _time(data_type, octets)
    return octets.hex()


def _text(octets: bytes) -> str:
    trimmed = octets.rstrip(b"\0")
    try:
        return trimmed.decode("utf-8")
    except UnicodeDecodeError:
        return trimmed.decode("latin-1")


def _time(data_type: str, octets: bytes) -> int:
    number = int.from_bytes(octets, "big")
    if data_type == "dateTimeSeconds":
        return number * 1000
    if data_type == "dateTimeMilliseconds" or len(octets) != 8:
        return number
    # RFC 7011 sections 6.1.9 and 6.1.10: 64-bit NTP timestamps.
    seconds, fraction = number >> 32, number & 0xFFFF_FFFF
    return (seconds - NTP_TO_UNIX_SECONDS) * 1000 + (fraction * 1000 >> 32)
