"""A file beside `appliance.yml` that decides settings, from one start of the collector to the next.

What the collector was started with counts until its next start, for everything beside it as well:
loader, API and command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.settings.file import EffectiveSetting


@dataclass(frozen=True, slots=True)
class Overrides:
    """Settings that a file decides.

    Attributes
    ----------
    file
        Where they come from; relative paths in them start at its folder.
    values
        By name, each as `appliance.yml` would have it.
    """

    file: Path
    values: Mapping[str, object]


class OverridingFile(Protocol):
    """A file that decides settings. Several threads use it at a time."""

    def active(self) -> list[Overrides]:
        """Return what the collector was started with, before its first start what the file says;
        of two with one setting the later counts.

        Raises
        ------
        SettingsError
            The file is wrong.
        """
        ...

    def upcoming(self) -> list[Overrides]:
        """Return what the collector would be started with now.

        Raises
        ------
        SettingsError
            The file is wrong.
        """
        ...

    def activate(self) -> None:
        """Make what the file says now the one that counts: the collector starts with it.

        Raises
        ------
        SettingsError, StorageError
            The file is wrong, or this cannot be kept.
        """
        ...

    def version(self) -> str:
        """Return what is another text once something else counts; asked for each request."""
        ...

    def lines(self) -> list[EffectiveSetting]:
        """Return what the file says now in its own words, each value with its line."""
        ...

    def hints(self) -> list[str]:
        """Return sentences on what the file says now without effect."""
        ...
