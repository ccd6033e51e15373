"""A datagram explained line by line: what lies where, what it became, what was refused and why.

Serves `appliance decode --explain`, the answer to "why is my data wrong?". It prints the results
of the registered decoders; it decodes nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from appliance.decoding.inspection import field_name, field_value, templates_of
from appliance.decoding.messages.block import Datagram
from appliance.decoding.records.groups import Arrivals, RecordGroup
from appliance.decoding.records.scalar_records import variable_length
from appliance.decoding.records.structured import TemplateById
from appliance.decoding.results import DecodeResult
from appliance.decoding.templates.template import VARIABLE_LENGTH, FieldSpecifier
from appliance.decoding.templates.timeline import TemplateChange, TemplateLookup
from appliance.export_protocols import NAMES, SFLOW
from appliance.flows import address_text


def explain(
    number: int,
    datagram: Datagram,
    result: DecodeResult | None,
    known: TemplateLookup | None = None,
) -> Iterator[str]:
    """Yield the lines about one datagram.

    Parameters
    ----------
    number
        Its place in the capture, from 1.
    result
        What decoding it alone gave; None when no decoder takes its version.
    known
        The templates after it, for lists of records.
    """
    sender = address_text(datagram.address_hi, datagram.address_lo)
    yield (
        f"datagram {number}: {len(datagram.payload)} octets from {sender} port {datagram.port},"
        f" {_time(datagram.received_ms)}"
    )
    if result is None:
        version = int.from_bytes(datagram.payload[:2], "big")
        yield f"  refused: no decoder takes version {version}"
        return
    if result.arrivals is not None and len(datagram.payload) > 1:
        yield _header(result.arrivals, int.from_bytes(datagram.payload[:2], "big") or SFLOW)
    for fault in result.faults:
        yield f"  refused: {fault.reason}: {fault.detail}"
    for change in result.templates:
        yield from _template(change, int.from_bytes(datagram.payload[:2], "big"))
    for waiting in result.waiting:
        yield (
            f"  set {waiting.set_id}, {len(waiting.body)} octets: its template is not known yet,"
            " it waits"
        )
    for word, count in sorted(result.counts.items()):
        yield f"  {word}: {count}"
    seen: set[int] = set()
    for group in result.groups:
        if id(group.records) not in seen:
            seen.add(id(group.records))
            yield from _group(group, datagram.payload, known)


def _header(arrivals: Arrivals, version: int) -> str:
    name = NAMES.get(version, f"version {version}")
    return (
        f"  {name}, exported {_time(int(arrivals.export_ms[0]))}, sequence"
        f" {arrivals.sequence[0]}, domain {arrivals.domain[0]}"
    )


def _template(change: TemplateChange, version: int) -> Iterator[str]:
    template = change.template
    kind = "options template" if template.options else "template"
    yield f"  {kind} {template.template_id}, {len(template.fields)} fields:"
    for index, field in enumerate(template.fields):
        length = "variable" if field.length == VARIABLE_LENGTH else f"{field.length} octets"
        scope = " (scope)" if index < template.scope_count else ""
        yield f"      {field_name(version, field)}{scope}, {length}"


def _group(group: RecordGroup, payload: bytes, known: TemplateLookup | None) -> Iterator[str]:
    index = 0
    of_set = (group.counts, group.offsets, group.template_ids, group.arrival)
    sets = zip(*(values.tolist() for values in of_set), strict=True)
    for count, offset, template_id, row in sets:
        templates = templates_of(group, row, known)
        what = f"set {template_id}" if template_id else "records"
        where = f"at octet {offset}" if offset >= 0 else "kept from an earlier datagram"
        yield f"  {what} {where}: {count} {'options ' * group.plan.options}records"
        position = offset if group.as_sent else -1
        for number in range(count):
            yield f"    record {number + 1}"
            lines = _record(group, index, payload, position, templates)
            for line, position in lines:  # noqa: B007 - the last position is where the next starts
                yield line
            index += 1


def _record(
    group: RecordGroup, index: int, payload: bytes, position: int, templates: TemplateById
) -> Iterator[tuple[str, int]]:
    """Yield the line of each field, and where the field ends."""
    for field, octets in zip(group.plan.fields, group.records.record(index), strict=True):
        at = ""
        if position >= 0:
            if field.length == VARIABLE_LENGTH:
                _, position = variable_length(memoryview(payload), position)
            at = f"{position:>5}"
            position += len(octets)
        yield f"    {at:>5}  {_field(group.plan.version, field, octets, templates)}", position


def _field(version: int, field: FieldSpecifier, octets: bytes, templates: TemplateById) -> str:
    name = field_name(version, field)
    if not octets:
        return f"{name}: no octets"
    shown = octets[:32].hex() + ("..." if len(octets) > 32 else "")
    value = field_value(field, octets, templates)
    # A list as in JSON; everything else as it is.
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
    return f"{shown}  {name} = {text}"


def _time(milliseconds: int) -> str:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds} ms"
