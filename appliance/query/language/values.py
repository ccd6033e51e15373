"""Values of filters: what stands behind a field, made into comparisons."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from appliance.flowlog.conditions import ADDRESSES
from appliance.flows import COLUMN, V4_MAPPED
from appliance.query.address_lists import AddressRange, address_range
from appliance.query.language.fields import FLAGS, Field, words_of
from appliance.query.language.names import FilterNames
from appliance.query.language.tree import (
    RATES,
    And,
    Filter,
    HasBits,
    HasText,
    InNetworks,
    InRanges,
    Number,
    Or,
    Range,
)

_OF_EXPORTER = ("ingress_interface", "egress_interface", "ingress_vrf_id", "egress_vrf_id")
"""Columns of numbers that each exporter names."""

_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(k|m|g|t|ki|mi|gi)?", re.IGNORECASE | re.ASCII)
_FACTORS = {
    "": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30,
}  # fmt: skip
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", re.IGNORECASE | re.ASCII)
_MILLISECONDS = {"": 1, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_RANGE = re.compile(r"(\w+)-(\w+)", re.ASCII)
_V4 = (V4_MAPPED, V4_MAPPED | 0xFFFF_FFFF)
_V6_LAST = 2**128 - 1


class ValueMismatchError(Exception):
    """A value or an operator does not fit its field.

    Attributes
    ----------
    expected
        What would fit.
    place
        Which of the values, from 0; None for the operator.
    """

    def __init__(self, expected: str, place: int | None = None, words: Sequence[str] = ()) -> None:
        self.expected, self.place, self.words = expected, place, words
        super().__init__(expected)


def make_comparison(field: Field, sign: str, texts: Sequence[str], names: FilterNames) -> Filter:
    """Return the tree of a field and its values.

    Parameters
    ----------
    sign
        `=`, `<`, `<=`, `>`, `>=`, `~`, or "" where none was written.

    Raises
    ------
    ValueMismatchError
        They do not fit.
    """
    column = field.columns[0]
    if column == "ip version":
        return version_filter(sign, texts)
    if column in ADDRESSES:
        _require(sign in ("", "="), "= or != for an address")
        return InNetworks(field.columns, _networks(field, texts, names))
    if column not in RATES and COLUMN[column].dtype == object:
        _require(sign in ("", "=", "~"), "=, != or ~ for a text")
        return HasText(field.columns, tuple(texts), part=sign == "~")
    _require(sign != "~", "=, !=, <, <=, > or >=: ~ looks for a part of a text, this is a number")
    if column == "tcp_control_bits" and not sign:
        return HasBits(
            field.columns, tuple(_flags(field, text, n, names) for n, text in enumerate(texts))
        )
    if named := _comparison_with_names(field, sign, texts, names):
        return named
    return InRanges(
        field.columns,
        tuple(_range(field, sign or "=", text, place, names) for place, text in enumerate(texts)),
    )


def _require(holds: bool, expected: str) -> None:
    if not holds:
        raise ValueMismatchError(expected)


def version_filter(sign: str, texts: Sequence[str]) -> Filter:
    """Return the filter for the source address's family; see `make_comparison`."""
    _require(sign in ("", "="), "= or != for a version")
    networks: list[tuple[int, int]] = []
    for place, text in enumerate(texts):
        if text not in ("4", "6"):
            raise ValueMismatchError("4 or 6", place)
        networks += [_V4] if text == "4" else [(0, _V4[0] - 1), (_V4[1] + 1, _V6_LAST)]
    return InNetworks(("source_address",), tuple(networks))


def _networks(field: Field, texts: Sequence[str], names: FilterNames) -> tuple[AddressRange, ...]:
    networks: list[AddressRange] = []
    for place, text in enumerate(texts):
        if text.startswith("@"):
            members = names.networks(text[1:])
            if members is None:
                raise _no_list(names, place)
            networks += members
        elif (network := address_range(text)) is not None:
            networks.append(network)
        else:
            networks += _exporters(field, text, place, names)
    return tuple(networks)


def _no_list(names: FilterNames, place: int) -> ValueMismatchError:
    lists = [f"@{name}" for name in names.lists()]
    choice = f"one of {', '.join(lists)}" if lists else "none is in the settings"
    return ValueMismatchError(f"the name of a list: {choice}", place, lists)


def _exporters(field: Field, text: str, place: int, names: FilterNames) -> Sequence[AddressRange]:
    """Return the addresses of the exporters of a name."""
    is_exporter = field.columns == ("exporter_address",)
    addresses = names.exporters(text) if is_exporter else ()
    ranges = [bounds for address in addresses if (bounds := address_range(address))]
    if not ranges:
        noun = "the address or name of an exporter" if is_exporter else field.noun
        raise ValueMismatchError(f"{noun}, such as 192.0.2.0/24", place)
    return ranges


def _flags(field: Field, text: str, place: int, names: FilterNames) -> int:
    low, high = _range(field, "=", text, place, names)
    if low is None or low != high:
        raise ValueMismatchError("letters of UAPRSFEC or a number", place)
    return int(low)


def _bits_of(letters: str) -> int:
    bits = 0
    for letter in letters.upper():
        bits |= FLAGS[letter]
    return bits


def _comparison_with_names(
    field: Field, sign: str, texts: Sequence[str], names: FilterNames
) -> Filter | None:
    """Return the comparison with names from the data, None where all texts are numbers."""
    column = field.columns[0]
    if column not in ("application_id", *_OF_EXPORTER):
        return None
    choices: list[Filter] = []
    for place, text in enumerate(texts):
        if text[:1].isdigit() and (text[-1:].isdigit() or text.startswith("0x")):
            one = _range(field, sign or "=", text, place, names)
            choices.append(InRanges(field.columns, (one,)))
            continue
        members = _members(field, text, names)
        if not members or sign not in ("", "="):
            raise ValueMismatchError(f"the number or name of {field.noun}", place)
        choices += members
    numbers = [c.ranges for c in choices if isinstance(c, InRanges)]
    if len(numbers) == len(choices):
        return InRanges(field.columns, tuple(one for ranges in numbers for one in ranges))
    return choices[0] if len(choices) == 1 else Or(tuple(choices))


def _members(field: Field, text: str, names: FilterNames) -> list[Filter]:
    pairs: Sequence[tuple[str, int]] | None
    if field.columns == ("application_id",):
        pairs = names.applications_at(text)
    elif field.columns[0].endswith("_vrf_id"):
        pairs = names.vrfs(text)
    else:
        pairs = names.interfaces(text)
    if pairs is None:
        return [InRanges(field.columns, ((key, key),)) for key in names.applications(text)]
    filters: list[Filter] = []
    for exporter, index in pairs:
        if network := address_range(exporter):
            at = InNetworks(("exporter_address",), (network,))
            filters.append(And((at, InRanges(field.columns, ((index, index),)))))
    return filters


def _range(field: Field, sign: str, text: str, place: int, names: FilterNames) -> Range:
    column = field.columns[0]
    may_be_range = sign == "=" and text[:1].isdigit()
    match = _RANGE.fullmatch(text) if may_be_range else None
    if match and names.number_of_word(column, text) is not None:
        match = None
    if match and not column.endswith("mac_address"):
        low, high = (_number(field, part, place, names) for part in match.groups())
        if low > high:
            raise ValueMismatchError("a range from the lower to the higher", place)
        return _shift(field, low, high)
    number = _number(field, text, place, names)
    exact = column not in RATES and COLUMN[column].dtype.kind == "f"
    below, above = (
        (float(np.nextafter(number, -math.inf)), float(np.nextafter(number, math.inf)))
        if exact
        else (number - 1, number + 1)
    )
    bounds: dict[str, tuple[Number | None, Number | None]] = {
        "=": (number, number), "<": (None, below), "<=": (None, number), ">": (above, None),
        ">=": (number, None),
    }  # fmt: skip
    return _shift(field, *bounds[sign])


def _shift(field: Field, low: Number | None, high: Number | None) -> Range:
    if not field.shift:
        return low, high
    first = None if low is None else int(low) << field.shift
    return first, None if high is None else ((int(high) + 1) << field.shift) - 1


def _number(field: Field, text: str, place: int, names: FilterNames) -> Number:
    column = field.columns[0]
    if (number_of_word := names.number_of_word(column, text)) is not None:
        return number_of_word
    try:
        number = _read_number(column, text) if text.isascii() else None
        if number is not None and column in COLUMN and COLUMN[column].dtype.kind == "f":
            number = float(number)
    except (ValueError, OverflowError):
        number = None
    if number is None:
        raise ValueMismatchError(field.noun, place, tuple(words_of(column)))
    lowest, highest = _limits(column)
    if not lowest <= number <= highest >> field.shift:
        raise ValueMismatchError(f"{field.noun} in the range of {column}", place)
    return number


def _limits(column: str) -> tuple[int, int]:
    if column in RATES or COLUMN[column].dtype.kind == "f":
        return -(2**62), 2**62
    info = np.iinfo(COLUMN[column].dtype)
    return int(info.min), int(info.max)


def _read_number(column: str, text: str) -> Number | None:
    if column in COLUMN and COLUMN[column].letters:
        is_code = len(text) == 2 and text.isascii() and text.isalpha()
        return int.from_bytes(text.upper().encode()) if is_code else None
    if column.endswith("mac_address"):
        digits = text.replace(":", "").replace("-", "")
        return int(digits, 16) if len(digits) == 12 and digits.isalnum() else None
    if column == "application_id" and ":" in text:
        engine, selector = (int(part) for part in text.split(":"))
        # RFC 6759 section 4: the engine in the first octet.
        return engine << 56 | selector if 0 <= engine < 256 and 0 <= selector < 2**56 else None
    if column == "tcp_control_bits" and text and all(c in FLAGS for c in text.upper()):
        return _bits_of(text)
    if column == "duration":
        match, factors = _DURATION.fullmatch(text), _MILLISECONDS
    else:
        match, factors = _NUMBER.fullmatch(text), _FACTORS
    if match is None:
        if column in COLUMN and COLUMN[column].dtype.kind == "f":
            number = float(text)
            return number if math.isfinite(number) else None
        return int(text, 0)
    if match[2] is None and "." not in match[1]:
        return int(match[1])
    scaled = float(match[1]) * factors[(match[2] or "").lower()]
    floating = column in COLUMN and COLUMN[column].dtype.kind == "f"
    return scaled if floating else int(scaled)
