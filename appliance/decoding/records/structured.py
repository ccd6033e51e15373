"""Structured data of RFC 6313: basicList, subTemplateList and subTemplateMultiList, as records.

Serves `appliance decode`; the flow log has no column for lists. A list is read one level deep: what
lies in its fields, lists too, stays octets until somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from appliance.decoding.messages.faults import MalformedMessage
from appliance.decoding.records.scalar_records import scalar_records, variable_length
from appliance.decoding.templates.decode_plan import plan_of
from appliance.decoding.templates.template import VARIABLE_LENGTH, FieldSpecifier, Template

BASIC_LIST, SUB_TEMPLATE_LIST = "basicList", "subTemplateList"
SUB_TEMPLATE_MULTI_LIST = "subTemplateMultiList"
LISTS = frozenset((BASIC_LIST, SUB_TEMPLATE_LIST, SUB_TEMPLATE_MULTI_LIST))

MAX_ENTRIES = 4096
"""Entries of one list that are read."""

SEMANTICS = {0: "noneOf", 1: "exactlyOneOf", 2: "oneOrMoreOf", 3: "allOf", 4: "ordered"}
"""RFC 6313 section 4.4; 255 is undefined."""

TemplateById = Callable[[int], Template | None]
Fields = list[tuple[FieldSpecifier, bytes]]


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One record of a list, or the values of a basicList.

    Attributes
    ----------
    template_id
        0 in a basicList, which has no template.
    """

    template_id: int
    fields: Fields


@dataclass(frozen=True, slots=True)
class StructuredData:
    """A list: what its entries have to do with each other, and the entries."""

    semantic: str
    entries: list[ListEntry]


def read_list(data_type: str, octets: bytes, templates: TemplateById) -> StructuredData:
    """Split the octets of a list into its entries.

    Parameters
    ----------
    data_type
        One of `LISTS`.
    templates
        Returns the template of an identifier in the list's own session.

    Raises
    ------
    MalformedMessage
        The lengths do not fit, or a template is not known.

    References
    ----------
    RFC 6313 sections 4.5.1 to 4.5.3.
    """
    if not octets:
        raise MalformedMessage("list_cut", "a list without its semantic")
    semantic = SEMANTICS.get(octets[0], "undefined" if octets[0] == 255 else str(octets[0]))
    body = memoryview(octets)[1:]
    if data_type == BASIC_LIST:
        return StructuredData(semantic, [ListEntry(0, list(_basic(body)))])
    parts = [_first_part(body)] if data_type == SUB_TEMPLATE_LIST else list(_parts(body))
    entries = [entry for part in parts for entry in _records(*part, templates)]
    return StructuredData(semantic, entries[:MAX_ENTRIES])


def _basic(body: memoryview) -> Iterator[tuple[FieldSpecifier, bytes]]:
    element, length = _u16(body, 0), _u16(body, 2)
    enterprise, at = 0, 4
    if element & 0x8000:
        enterprise, element, at = _u16(body, 4) << 16 | _u16(body, 6), element & 0x7FFF, 8
    field = FieldSpecifier(element, length, enterprise)
    if not length:
        return
    for _ in range(MAX_ENTRIES):
        if at >= len(body):
            return
        size = length
        if length == VARIABLE_LENGTH:
            size, at = variable_length(body, at)
        if at + size > len(body):
            raise MalformedMessage("list_cut", f"a value of {size} octets, {len(body) - at} left")
        yield field, bytes(body[at : at + size])
        at += size


def _first_part(body: memoryview) -> tuple[int, memoryview]:
    return _u16(body, 0), body[2:]


def _parts(body: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at < len(body):
        length = _u16(body, at + 2)
        if length < 4 or at + length > len(body):
            left = len(body) - at
            raise MalformedMessage("list_cut", f"records of {length} octets, {left} left")
        yield _u16(body, at), body[at + 4 : at + length]
        at += length


def _records(number: int, body: memoryview, templates: TemplateById) -> Iterator[ListEntry]:
    template = templates(number)
    if template is None:
        raise MalformedMessage("list_template", f"template {number} is not known")
    plan = plan_of(10, template.fields, template.scope_count, template.options)
    records, _ = scalar_records(plan, body, MAX_ENTRIES)
    for record in records:
        yield ListEntry(number, list(zip(plan.filled, record, strict=True)))


def _u16(body: memoryview, at: int) -> int:
    if at + 2 > len(body):
        raise MalformedMessage("list_cut", f"a list of {len(body) + 1} octets")
    return body[at] << 8 | body[at + 1]
