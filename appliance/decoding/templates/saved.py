"""Templates as they come out of a file, which is read as untrusted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from appliance.decoding.templates.template import (
    FIRST_DATA_SET_ID,
    MAX_FIELDS,
    V9_SCOPE,
    FieldSpecifier,
    Template,
)


def whole_number(value: Any, limit: int, least: int = 0) -> int:
    """Return a whole number from `least` up to below `limit`.

    Raises
    ------
    ValueError
        It is none, or another one.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < limit:
        raise ValueError(value)
    return value


def template_from_saved(
    template_id: Any, fields: Iterable[Any], scope_count: Any, *, options: bool
) -> Template:
    """Return a template that a decoder can use.

    Parameters
    ----------
    fields
        Element, length and enterprise number of each.

    Raises
    ------
    ValueError, TypeError
        It could not have come in a datagram.
    """
    read = tuple(
        FieldSpecifier(
            whole_number(element, 1 << 16),
            whole_number(length, 1 << 16),
            whole_number(enterprise, V9_SCOPE + 1),
        )
        for element, length, enterprise in fields
    )
    template = Template(
        whole_number(template_id, 1 << 16, FIRST_DATA_SET_ID),
        read,
        whole_number(scope_count, len(read) + 1),
        options,
    )
    if len(read) > MAX_FIELDS or template.minimum_length == 0:
        raise ValueError(template_id)
    return template
