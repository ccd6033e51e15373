"""Both protocols with templates, both ways to decode, and records told field by field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from tests.decoding.building import IPFIX, V9, Exporter, a_set, template

both = pytest.mark.parametrize("protocol", [V9, IPFIX], ids=str)
in_both_modes = pytest.mark.parametrize("one_by_one", [False, True], ids=["block", "single"])

Field = tuple[int, bytes]
"""An element and its octets."""


def layout_of(fields: Iterable[Field]) -> list[tuple[int, int]]:
    return [(element, len(octets)) for element, octets in fields]


def octets_of(fields: Iterable[Field]) -> bytes:
    return b"".join(octets for _, octets in fields)


def with_template(protocol: Exporter, layout: Sequence[tuple[int, ...]], records: bytes) -> bytes:
    """Lay a template, and a Set of its records."""
    return protocol.templates(template(300, *layout)) + a_set(300, records)


def one_record(protocol: Exporter, *fields: Field) -> bytes:
    """Lay a template and one record of it."""
    return with_template(protocol, layout_of(fields), octets_of(fields))


def own_scope(protocol: Exporter) -> tuple[int, int]:
    """Return the scope of the exporter itself: "System" of v9, exportingProcessId of IPFIX."""
    return (1 if protocol is V9 else 144, 4)


def one_option(
    protocol: Exporter, *fields: Field, scope: Field | None = None, number: int = 400
) -> bytes:
    """Lay an options template and one record of it, of the exporter itself unless told of what."""
    about = scope or (own_scope(protocol)[0], bytes(4))
    options = protocol.options(number, layout_of([about]), layout_of(fields))
    return protocol.options_templates(options) + a_set(number, octets_of([about, *fields]))
