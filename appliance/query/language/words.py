"""Filters as words of a command line, where nobody likes to type quotes."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.query.language.names import FilterNames
from appliance.query.language.parsing import FilterError, parse_filter


def filter_texts(words: Sequence[str], names: FilterNames | None = None) -> tuple[str, ...]:
    """Return the filters that words are: one of all together, or one of each, which must all hold.

    `src port 53` is one filter, `port=53 host=10.0.0.1` are two. Words that are neither are
    returned together, for the error that says where it goes wrong.
    """
    together = " ".join(words)
    if is_filter(together, names) or not all(is_filter(word, names) for word in words):
        return (together,) if words else ()
    return tuple(words)


def is_filter(text: str, names: FilterNames | None = None) -> bool:
    """Tell whether a text is understood."""
    try:
        parse_filter(text, names)
    except FilterError:
        return False
    return True
