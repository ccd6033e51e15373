"""Names from the data that filters may use instead of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from appliance.query.language.fields import find_word, words_of


class FilterNames(Protocol):
    """Looks up names; each method returns nothing, or None, for a name that it does not know."""

    def interfaces(self, name: str) -> Sequence[tuple[str, int]]:
        """Return the interfaces of a name: address of the exporter and ifIndex."""

    def vrfs(self, name: str) -> Sequence[tuple[str, int]]:
        """Return the VRFs of a name: address of the exporter and VRF ID."""

    def applications(self, name: str) -> Sequence[int]:
        """Return the application IDs (engine in the top octet, RFC 6759) of a name."""

    def applications_at(self, name: str) -> Sequence[tuple[str, int]] | None:
        """Return the applications of a name, each with the address of the exporter that calls it
        so; None: `applications` says them, whichever exporter does.
        """

    def exporters(self, name: str) -> Sequence[str]:
        """Return the addresses of exporters of a name."""

    def networks(self, name: str) -> Sequence[tuple[int, int]] | None:
        """Return the addresses and networks in a list, its name without @, as first and last
        address, 128-bit numbers; None where there is no such list.
        """

    def lists(self) -> Sequence[str]:
        """Return the names of all lists, without @."""

    def number_of_word(self, column: str, word: str) -> int | None:
        """Return the number of a column that a word or name stands for; None: it is none."""


class NoNames:
    """Knows no names from the log: only numbers, addresses and words of columns are understood."""

    def interfaces(self, name: str) -> Sequence[tuple[str, int]]:
        """Return nothing."""
        return ()

    def vrfs(self, name: str) -> Sequence[tuple[str, int]]:
        """Return nothing."""
        return ()

    def applications(self, name: str) -> Sequence[int]:
        """Return nothing."""
        return ()

    def applications_at(self, name: str) -> Sequence[tuple[str, int]] | None:
        """Return that exporters do not count."""
        return None

    def exporters(self, name: str) -> Sequence[str]:
        """Return nothing."""
        return ()

    def networks(self, name: str) -> Sequence[tuple[int, int]] | None:
        """Return that there is none."""
        return None

    def lists(self) -> Sequence[str]:
        """Return nothing."""
        return ()

    def number_of_word(self, column: str, word: str) -> int | None:
        """Return the number that a word stands for, or a name that a plugin knows."""
        return find_word(word, words_of(column))
