"""Records as people read them: every field of what the decoders found, by its registered name.

Serves `appliance decode`. The octets come from the record groups that decoding returned; here they
only get their names (IANA's registry) and their text. Lists of RFC 6313 stand as octets under
their name, as other collectors print them, and as objects under the same name behind an underscore.
Unknown elements are called `enterprise<number>.<id>`, `v9field<type>` or `field<id>`.
"""

from __future__ import annotations

import ipaddress
import math
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from appliance.decoding.columns.flow_times import NTP_TO_UNIX_SECONDS
from appliance.decoding.messages.faults import MalformedMessage
from appliance.decoding.records.groups import RecordGroup
from appliance.decoding.records.structured import LISTS, StructuredData, TemplateById, read_list
from appliance.decoding.results import DecodeResult
from appliance.decoding.templates.template import REVERSE_PEN, V9_SCOPE, FieldSpecifier, Template
from appliance.decoding.templates.timeline import SessionDomain, TemplateLookup
from appliance.flows import address_text
from appliance.information_elements import element_by_id

_SCOPES = {
    1: "scopeSystem",
    2: "scopeInterface",
    3: "scopeLineCard",
    4: "scopeCache",
    5: "scopeTemplate",
}
_LAST_IANA = 530
_PADDING = 210

MAX_DEPTH = 4
"""Lists in lists that become objects; what lies deeper is shown as octets."""


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


def no_templates(_template_id: int) -> Template | None:
    """Know no template."""
    return None


def templates_of(group: RecordGroup, row: int, known: TemplateLookup | None) -> TemplateById:
    """Return a function that finds the templates of the session which sent a Set of a group.

    Parameters
    ----------
    row
        The Set's message, a row of the group's arrivals.
    """
    if known is None:
        return no_templates
    of = group.arrivals
    scope = SessionDomain(
        int(of.address_hi[row]),
        int(of.address_lo[row]),
        int(of.port[row]),
        int(of.domain[row]),
        group.plan.version,
    )
    return lambda number: known.own_template(scope, number)


def field_value(
    field: FieldSpecifier, octets: bytes, templates: TemplateById = no_templates, depth: int = 0
) -> Any:
    """Turn the octets of a field into a number, a text, an object or, where nothing fits,
    hexadecimal."""
    data_type = field_type(field)
    if data_type not in LISTS or depth >= MAX_DEPTH:
        return _value(data_type, octets)
    try:
        found = read_list(data_type, octets, templates)
    except MalformedMessage:
        return octets.hex()
    return _list_value(found, templates, depth)


def _list_value(found: StructuredData, templates: TemplateById, depth: int) -> dict[str, Any]:
    records = []
    for entry in found.entries:
        fields = _values_by_name(10, entry.fields, templates, depth + 1)
        records.append(
            {"_templateId": entry.template_id, **fields} if entry.template_id else fields
        )
    return {"_semantic": found.semantic, "records": records}


def record_fields(
    group: RecordGroup, index: int, templates: TemplateById = no_templates
) -> dict[str, Any]:
    """Return the fields of one record by name; what occurs several times is a list."""
    fields = list(zip(group.plan.fields, group.records.record(index), strict=True))
    values = _values_by_name(group.plan.version, fields, templates, 0)
    lists = {name: value for name, value in values.items() if _is_list(value)}
    for name, value in lists.items():
        values[name] = _values_by_name(group.plan.version, fields, templates, MAX_DEPTH)[name]
        values[f"_{name}"] = value
    return values


def _is_list(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], dict))


def _values_by_name(
    version: int,
    fields: Iterable[tuple[FieldSpecifier, bytes]],
    templates: TemplateById,
    depth: int,
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    several: set[str] = set()
    for field, octets in fields:
        if not octets or (field.enterprise == 0 and field.element == _PADDING):
            continue
        name, value = field_name(version, field), field_value(field, octets, templates, depth)
        if name not in values:
            values[name] = value
        elif name in several:
            values[name].append(value)
        else:
            values[name] = [values[name], value]
            several.add(name)
    return values


def inspect_records(
    result: DecodeResult, known: TemplateLookup | None = None
) -> Iterator[dict[str, Any]]:
    """Yield each record that was decoded, fields by name, facts of its message with underscores.

    `_exportTime` is in milliseconds UTC; `_kind` is `flow` or `options`.

    Parameters
    ----------
    known
        The templates after the result, for lists of records.
    """
    seen: set[int] = set()
    for group in result.groups:
        if id(group.records) not in seen:
            seen.add(id(group.records))
            yield from _of_group(group, known)


def _of_group(group: RecordGroup, known: TemplateLookup | None) -> Iterator[dict[str, Any]]:
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
        templates = templates_of(group, row, known)
        for _ in range(count):
            yield about | record_fields(group, index, templates)
            index += 1


def _value(data_type: str, octets: bytes) -> Any:
    n = len(octets)
    if data_type == "unsigned256":
        return octets.hex()  # flags, more than JSON's numbers hold
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
