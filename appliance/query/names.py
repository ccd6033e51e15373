"""Names in filters: of applications, interfaces and VRFs, as options records of the log tell them,
of interfaces and exporters, as people and devices call them, and of lists of addresses."""

# ruff: noqa: S608 - names in the SQL come from our own tables, values are parameters.

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from appliance.flowlog.option_names import APPLICATIONS, EXPORTER, INTERFACES, VRFS, NameKind
from appliance.flowlog.questions import FlowQuestion, Statement
from appliance.flows import COLUMN
from appliance.interface_history import history_beside
from appliance.query.address_lists import AddressLists, AddressRange
from appliance.query.language.names import NoNames

if TYPE_CHECKING:
    from appliance.contracts import ExporterRecord
    from appliance.flowlog.search import FlowSearch

MAX_NAMES = 10_000
_NO_EXPORTER = "::"
_NO_NUMBER = (_NO_EXPORTER, 1)
"""What no flow has: the unspecified address sends nothing (RFC 4291 section 2.5.2)."""


class LogNames(NoNames):
    """Looks up names in one flow log, of any time; upper and lower case are the same.

    Parameters
    ----------
    exporters
        Returns the exporters that a store knows.
    lists
        Of addresses.
    """

    def __init__(
        self,
        search: FlowSearch,
        exporters: Callable[[], Iterable[ExporterRecord]] = tuple,
        lists: AddressLists | None = None,
    ) -> None:
        self._search, self._exporters = search, exporters
        self._lists = lists or AddressLists({})
        self._history = history_beside(search.directory)

    def applications(self, name: str) -> Sequence[int]:
        """Return the application IDs (engine in the top octet, RFC 6759) of a name."""
        sql = """SELECT DISTINCT application_id FROM log WHERE application_id IS NOT NULL
            AND lower(application_name) = lower($name) ORDER BY 1"""
        rows = self._rows(sql, {"name": name}, ("application_id", "application_name"))
        return [row["application_id"] for row in rows]

    def interfaces(self, name: str) -> Sequence[tuple[str, int]]:
        """Return the interfaces of a name: address of the exporter and ifIndex.

        Also those that people or options records call so, whatever the device itself says.
        """
        known = self._history.interfaces_named(name)
        return sorted({*known, *self._numbers(INTERFACES, name)})

    def vrfs(self, name: str) -> Sequence[tuple[str, int]]:
        """Return the VRFs of a name: address of the exporter and VRF ID."""
        return self._numbers(VRFS, name)

    def interface_names(self) -> Sequence[tuple[str, str, int]]:
        """Return interfaces that have a name: name, address of the exporter and ifIndex."""
        known = self._history.all_names(MAX_NAMES)
        return sorted({*known, *self._names(INTERFACES)})[:MAX_NAMES]

    def vrf_names(self) -> Sequence[tuple[str, str, int]]:
        """Return VRFs that have a name: name, address of the exporter and VRF ID."""
        return self._names(VRFS)

    def exporters(self, name: str) -> Sequence[str]:
        """Return the addresses of exporters that people call so, or that call themselves so."""
        same, devices = name.casefold(), self._history.device_names()
        return [
            one.address
            for one in self._exporters()
            if (one.name or devices.get(one.address, "")).casefold() == same
        ]

    def networks(self, name: str) -> Sequence[AddressRange] | None:
        """Return the addresses and networks in a list, None where there is no such list."""
        return self._lists.ranges(name)

    def lists(self) -> Sequence[str]:
        """Return the names of all lists."""
        return list(self._lists.files)

    def _names(self, kind: NameKind) -> Sequence[tuple[str, str, int]]:
        name, number = kind.names[0], kind.number
        exporter = f"address({', '.join(EXPORTER)}) AS exporter"
        sql = f"""SELECT DISTINCT {name} AS name, {exporter}, {number} AS number FROM log
            WHERE {name} <> '' AND {number} IS NOT NULL ORDER BY ALL LIMIT {MAX_NAMES}"""
        rows = self._rows(sql, {}, (*EXPORTER, *kind.numbers, name))
        return [(row["name"], row["exporter"], row["number"]) for row in rows]

    def _numbers(self, kind: NameKind, name: str) -> Sequence[tuple[str, int]]:
        """Return the numbers of a name, each with the address of its exporter."""
        column, number = kind.names[0], kind.number
        sql = f"""SELECT DISTINCT address({", ".join(EXPORTER)}) AS exporter, {number} AS number
            FROM log WHERE lower({column}) = lower($name) AND {number} IS NOT NULL
            ORDER BY ALL"""
        rows = self._rows(sql, {"name": name}, (*EXPORTER, *kind.numbers, column))
        return [(row["exporter"], row["number"]) for row in rows]

    def _rows(
        self, sql: str, parameters: dict[str, Any], columns: Sequence[str]
    ) -> list[dict[str, Any]]:
        statement = Statement(sql, parameters, frozenset(columns))
        table = self._search.run(statement, FlowQuestion(options=True), True)
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows


class HiddenNames(LogNames):
    """Looks names up without telling which there are: one that nobody has is of nothing.

    For callers who may see a part of the flows only. A name of what is hidden from them, and one
    that does not exist, both match none of what they see. They have no lists.
    """

    def __init__(
        self, search: FlowSearch, exporters: Callable[[], Iterable[ExporterRecord]] = tuple
    ) -> None:
        super().__init__(search, exporters)

    def applications_at(self, name: str) -> Sequence[tuple[str, int]]:
        """Return the applications of a name, each at the exporter that calls it so: one of the
        same ID that another exporter calls so is hidden as the name is.
        """
        return self._numbers(APPLICATIONS, name) or [_NO_NUMBER]

    def interfaces(self, name: str) -> Sequence[tuple[str, int]]:
        """Return the interfaces of a name: address of the exporter and ifIndex."""
        return super().interfaces(name) or [_NO_NUMBER]

    def vrfs(self, name: str) -> Sequence[tuple[str, int]]:
        """Return the VRFs of a name: address of the exporter and VRF ID."""
        return super().vrfs(name) or [_NO_NUMBER]

    def exporters(self, name: str) -> Sequence[str]:
        """Return the addresses of exporters of a name."""
        return super().exporters(name) or [_NO_EXPORTER]

    def number_of_word(self, column: str, word: str) -> int | None:
        """Return the number of a word; of a name that no plugin knows one that stands for none."""
        number = super().number_of_word(column, word)
        known = COLUMN.get(column)
        if number is None and known is not None and known.has_names and not _is_number(word):
            return int(np.iinfo(known.dtype).max)
        return number


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal()
