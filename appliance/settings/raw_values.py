"""Raw values of the configuration file: what YAML gives in, texts, numbers and lists out, and back.

Scalars are `str`, exactly as written. What does not fit is a `ValueError`, whose text is not used.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

N = TypeVar("N", int, float)

_UNQUOTED = re.compile(r"[A-Za-z0-9_./-]+")
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")
_DURATION_SECONDS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SIZE_OCTETS = {"": 1, "B": 1} | {
    f"{prefix}{unit}": base**power
    for base, unit in ((1000, "B"), (1024, "iB"))
    for power, prefix in enumerate("KMGT", start=1)
}


def sample(raw: object) -> str:
    """Write a raw value (str, number, bool, list, dict) as one line of YAML."""
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, Mapping):
        return "{" + ", ".join(f"{sample(k)}: {sample(v)}" for k, v in raw.items()) + "}"
    if isinstance(raw, list | tuple):
        return "[" + ", ".join(sample(item) for item in raw) + "]"
    return str(raw) if _UNQUOTED.fullmatch(str(raw)) else json.dumps(str(raw))


def scalar_text(raw: object) -> str:
    """Return a text or number as text.

    Raises
    ------
    ValueError
        It is something else.
    """
    if isinstance(raw, bool):
        return str(raw).lower()
    if not isinstance(raw, str | int | float):
        raise ValueError(raw)  # noqa: TRY004 - one exception type says "does not fit"
    return str(raw)


def list_items(raw: object) -> list[object]:
    """Return a list's items; an empty value is an empty list, a single one a list of one."""
    if isinstance(raw, list | tuple):
        return list(raw)
    return [scalar_text(raw)] if raw != "" else []


def mapping_pairs(raw: object) -> list[tuple[str, object]]:
    """Return keys and values of a mapping; an empty value is an empty mapping.

    Raises
    ------
    ValueError
        It is something else.
    """
    if raw == "":
        return []
    if not isinstance(raw, dict):
        raise ValueError(raw)  # noqa: TRY004 - one exception type says "does not fit"
    return [(str(key), value) for key, value in raw.items()]


def within(value: N, low: float, high: float | None) -> N:
    """Return a number.

    Raises
    ------
    ValueError
        It is below `low` or above `high`.
    """
    if value < low or (high is not None and value > high):
        raise ValueError(value)
    return value


def parse_duration(text: str) -> float:
    """Return the seconds of `60s`, `15m`, `48h`, `30d`, `2w`, `500ms` or a bare number.

    Raises
    ------
    ValueError
        The text is no duration.
    """
    return _quantity(text, _DURATION_SECONDS)


def parse_size(text: str) -> int:
    """Return the octets of `512MB` (decimal), `512MiB` (binary) or a bare number.

    Raises
    ------
    ValueError
        The text is no size.
    """
    return int(_quantity(text, _SIZE_OCTETS))


def _quantity(text: str, units: Mapping[str, float]) -> float:
    found = _QUANTITY.fullmatch(text.strip())
    if found is None or found[2] not in units:
        raise ValueError(text)
    return float(found[1]) * units[found[2]]


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is not known, with the nearest one that is."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    hint = f", did you mean {nearest[0]}?" if nearest else ""
    return f"unknown {kind}{hint}"
