"""What a plugin keeps that a backup must hold."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class BackupPart(Protocol):
    """What a plugin keeps, for `appliance backup` and `appliance restore`.

    Attributes
    ----------
    name
        The folder in the archive; letters, digits and `-`.
    """

    @property
    def name(self) -> str:
        """The folder in the archive."""
        ...

    def save(self, folder: Path) -> None:
        """Write it to files in an empty folder, as of one moment, while everything runs.

        Raises
        ------
        ApplianceError
            It cannot be read now.
        """
        ...

    def restore(self, folder: Path) -> None:
        """Put back what `save` wrote; neither collector nor API runs.

        Raises
        ------
        ApplianceError
            The files do not fit what is configured, or it cannot be written now.
        """
        ...
