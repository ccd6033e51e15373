"""Names from the data that filters may use instead of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class FilterNames(Protocol):
    """Looks up names; each method returns nothing, or None, for a name that it does not know."""

    def interfaces(self, name: str) -> Sequence[tuple[str, int]]:
        """Return the interfaces of a name: address of the exporter and ifIndex."""

    def vrfs(self, name: str) -> Sequence[tuple[str, int]]:
        """Return the VRFs of a name: address of the exporter and VRF ID."""

    def applications(self, name: str) -> Sequence[int]:
        """Return the application IDs (engine in the top octet, RFC 6759) of a name."""

    def exporters(self, name: str) -> Sequence[str]:
        """Return the addresses of exporters of a name."""

    def networks(self, name: str) -> Sequence[tuple[int, int]] | None:
        """Return the addresses and networks in a list, its name without @, as first and last
        address, 128-bit numbers; None where there is no such list.
        """

    def lists(self) -> Sequence[str]:
        """Return the names of all lists, without @."""


class NoNames:
    """Knows no names: only numbers and addresses are understood."""

    def interfaces(self, name: str) -> Sequence[tuple[str, int]]:
        """Return nothing."""
        return ()

    def vrfs(self, name: str) -> Sequence[tuple[str, int]]:
        """Return nothing."""
        return ()

    def applications(self, name: str) -> Sequence[int]:
        """Return nothing."""
        return ()

    def exporters(self, name: str) -> Sequence[str]:
        """Return nothing."""
        return ()

    def networks(self, name: str) -> Sequence[tuple[int, int]] | None:
        """Return that there is none."""
        return None

    def lists(self) -> Sequence[str]:
        """Return nothing."""
        return ()
