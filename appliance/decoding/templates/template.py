"""Template records of NetFlow v9 and IPFIX: from the body of a template Set to `Template` values.

Documents: RFC 3954 sections 5.2 and 6.1, RFC 7011 sections 3.4 and 8. Both kinds of Set share one
reader; what differs between the versions (enterprise numbers, scope lengths or scope counts) is
in two small functions. Nothing is stored here: the caller commits what was found.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from appliance.information_elements import element_by_id

VARIABLE_LENGTH = 65535
"""RFC 7011 section 7: the length of a field is written before its value."""

V9_SCOPE = 1 << 32
"""Stands for an enterprise number in scope fields of v9, which are numbered by themselves."""

REVERSE_PEN = 29305
"""RFC 5103 section 6.1: the same element, for the reverse direction of a biflow."""

MAX_FIELDS = 1024
"""Fields of one template; a larger one is refused."""

FIRST_DATA_SET_ID = 256

_SPECIFIER = 4
"""Octets of the shortest field specifier."""


class FieldSpecifier(NamedTuple):
    """Element, length in octets (65535: variable) and enterprise number of one field."""

    element: int
    length: int
    enterprise: int = 0


@dataclass(frozen=True)
class Template:
    """A template or options template.

    Attributes
    ----------
    scope_count
        How many of the first fields are scope fields.
    """

    template_id: int
    fields: tuple[FieldSpecifier, ...]
    scope_count: int = 0
    options: bool = False

    @cached_property
    def is_variable(self) -> bool:
        """Whether any field has a variable length."""
        return any(field.length == VARIABLE_LENGTH for field in self.fields)

    @cached_property
    def minimum_length(self) -> int:
        """Octets of the shortest possible Data Record (one for each variable field)."""
        return sum(1 if f.length == VARIABLE_LENGTH else f.length for f in self.fields)


def unknown_elements(fields: Iterable[FieldSpecifier]) -> tuple[tuple[int, int], ...]:
    """Return enterprise and number of the elements that no registry names, each once."""
    names = {
        (f.enterprise, f.element): None
        for f in fields
        if f.enterprise != V9_SCOPE
        and element_by_id(0 if f.enterprise == REVERSE_PEN else f.enterprise, f.element) is None
    }
    return tuple(names)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A template withdrawal (RFC 7011 section 8.1); over UDP it is ignored and counted."""

    template_id: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A template record that cannot be used.

    Attributes
    ----------
    lies
        True when its lengths contradict the Set, so that nothing after it can be trusted.
    """

    reason: str
    detail: str
    lies: bool = False


Found = Template | Withdrawal | Refusal


def read_template_set(body: memoryview, *, options: bool, version: int) -> Iterator[Found]:
    """Read every template record of a template Set, padding excluded.

    Parameters
    ----------
    body
        The Set without its header.
    options
        True for a Set of options templates.
    version
        9 or 10.
    """
    head = 6 if options else 4
    position = 0
    while position + 4 <= len(body):
        template_id, count = struct.unpack_from("!HH", body, position)
        if template_id == 0 and count == 0:
            return  # padding
        if count == 0 and version == 10:
            # RFC 7011 section 8.1: a withdrawal has no scope field count, options or not.
            yield Withdrawal(template_id)
            position += 4
            continue
        if position + head > len(body):
            return  # padding
        if position and count and position + head + _SPECIFIER > len(body):
            return  # padding of whatever value behind the last record: no record is so short
        scope_count, fields, end = _read_record(body, position, options=options, version=version)
        if isinstance(fields, Refusal):
            yield fields
            return
        yield _check_template(Template(template_id, fields, scope_count, options), version)
        position = end


def _check_template(template: Template, version: int) -> Template | Refusal:
    name = f"template {template.template_id}"
    if template.template_id < FIRST_DATA_SET_ID:
        return Refusal("template_id_reserved", f"{name}: identifiers start at 256")
    if template.minimum_length == 0:
        return Refusal("template_empty", f"{name}: its records would have no octet")
    # RFC 7011 section 3.4.2.2: a scope field count of zero must not be used. NetFlow v9 allows it.
    least = 1 if version == 10 else 0
    if template.options and not least <= template.scope_count <= len(template.fields):
        return Refusal(
            "template_scope_count",
            f"{name}: {template.scope_count} scope fields of {len(template.fields)} fields",
        )
    return template


_Record = tuple[int, tuple[FieldSpecifier, ...] | Refusal, int]


def _read_record(body: memoryview, position: int, *, options: bool, version: int) -> _Record:
    if version == 9:
        return _read_v9(body, position, options)
    return _read_ipfix(body, position, options)


def _read_v9(body: memoryview, position: int, options: bool) -> _Record:
    # RFC 3954 section 6.1 gives the octets, not the number, of scope and option fields.
    if options:
        template_id, scope_octets, option_octets = struct.unpack_from("!HHH", body, position)
        start, octets = position + 6, scope_octets + option_octets
        if scope_octets % 4 or option_octets % 4:
            return _lie(template_id, f"field lengths {scope_octets} and {option_octets} octets")
    else:
        template_id, count = struct.unpack_from("!HH", body, position)
        start, octets, scope_octets = position + 4, count * 4, 0
    if octets > len(body) - start:
        return _lie(template_id, f"fields of {octets} octets, {len(body) - start} octets left")
    if octets > MAX_FIELDS * 4:
        return _too_many(template_id, octets // 4)
    numbers = struct.unpack_from(f"!{octets // 2}H", body, start)
    fields = tuple(
        FieldSpecifier(numbers[i], numbers[i + 1], V9_SCOPE if 2 * i < scope_octets else 0)
        for i in range(0, len(numbers), 2)
    )
    return scope_octets // 4, fields, start + octets


def _read_ipfix(body: memoryview, position: int, options: bool) -> _Record:
    template_id, count = struct.unpack_from("!HH", body, position)
    scope_count = struct.unpack_from("!H", body, position + 4)[0] if options else 0
    position += 6 if options else 4
    if count > MAX_FIELDS:
        return _too_many(template_id, count)
    fields: list[FieldSpecifier] = []
    for _ in range(count):
        field_octets = 8 if position < len(body) and body[position] & 0x80 else 4
        if position + field_octets > len(body):
            return _lie(template_id, f"{count} fields, the set ends after {len(fields)}")
        element, length = struct.unpack_from("!HH", body, position)
        enterprise = 0
        if field_octets == 8:
            # RFC 7011 section 3.2: the first bit says that an enterprise number follows.
            element, enterprise = element & 0x7FFF, struct.unpack_from("!I", body, position + 4)[0]
        fields.append(FieldSpecifier(element, length, enterprise))
        position += field_octets
    return scope_count, tuple(fields), position


def _lie(template_id: int, detail: str) -> _Record:
    return 0, Refusal("template_length", f"template {template_id}: {detail}", lies=True), 0


def _too_many(template_id: int, count: int) -> _Record:
    detail = f"template {template_id}: {count} fields, at most {MAX_FIELDS} are taken"
    return 0, Refusal("template_too_long", detail, lies=True), 0
