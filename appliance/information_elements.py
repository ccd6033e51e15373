"""The registry of information elements as data: (enterprise, id) and name to type, semantics and
units.

The table beside this file is IANA's "IPFIX Information Elements" registry (enterprise 0) with the
few enterprise elements that exporters are known to send. RFC 7012 defines the types and
semantics; how octets of a type become a value is left to `appliance.decoding`.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

TABLE = "information_elements.csv"

_SPELLING = {"ipv6address": "ipv6Address"}
"""Types that the published registry spells in two ways."""


@dataclass(frozen=True, slots=True)
class InformationElement:
    """One entry of the registry.

    Attributes
    ----------
    enterprise, id
        Private enterprise number, 0 for IANA's own, and the identifier below it.
    name
        As registered, in camel case: `octetDeltaCount`.
    data_type
        Abstract data type of RFC 7012 section 3.1, such as `unsigned64`.
    semantics, units
        As registered, or empty.
    """

    enterprise: int
    id: int
    name: str
    data_type: str
    semantics: str
    units: str


def element_by_id(enterprise: int, element: int) -> InformationElement | None:
    """Return the element of this enterprise and identifier, None when the registry has none."""
    return elements().get((enterprise, element))


def element_by_name(name: str) -> InformationElement | None:
    """Return the element of this registered name (camel case), None when there is none.

    Where two enterprises use a name, IANA's element is the one that is found.
    """
    return _elements_by_name().get(name)


@functools.cache
def elements() -> Mapping[tuple[int, int], InformationElement]:
    """Return the whole registry by (enterprise, id); read once, in the order of the table."""
    with resources.files("appliance").joinpath(TABLE).open(encoding="utf-8") as file:
        entries = [_element(row) for row in csv.DictReader(file)]
    return MappingProxyType({(entry.enterprise, entry.id): entry for entry in entries})


@functools.cache
def _elements_by_name() -> Mapping[str, InformationElement]:
    by_name: dict[str, InformationElement] = {}
    for entry in sorted(elements().values(), key=lambda entry: (entry.enterprise, entry.id)):
        by_name.setdefault(entry.name, entry)
    return MappingProxyType(by_name)


def _element(row: Mapping[str, str]) -> InformationElement:
    return InformationElement(
        int(row["enterprise_number"]),
        int(row["id"]),
        row["name"],
        _SPELLING.get(row["data_type"], row["data_type"]),
        row["semantics"].strip(),
        row["units"].strip(),
    )
