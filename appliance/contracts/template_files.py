"""Files in which templates are kept for other programs, or by them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from appliance.decoding.templates.template import Template


class SavedTemplate(NamedTuple):
    """A template and whose it is.

    Attributes
    ----------
    address
        The exporter's, as text.
    domain
        Observation domain or source ID.
    version
        Of the protocol.
    """

    address: str
    domain: int
    version: int
    template: Template


class TemplateFile(Protocol):
    """A file of templates; used by the collector's thread.

    Attributes
    ----------
    name
        For messages: its path.
    """

    @property
    def name(self) -> str:
        """Name the file."""
        ...

    def read(self) -> tuple[list[SavedTemplate], int]:
        """Return its templates, and how many of its entries could not be used.

        Raises
        ------
        StorageError
            The file cannot be read; that it does not exist yet is none.
        """
        ...

    def write(self, saved: list[SavedTemplate]) -> None:
        """Write the newest templates of all exporters in place of what the file holds.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        ...

    def read_others(self) -> list[SavedTemplate] | None:
        """Return what other collectors learned of exporters; None: nothing new since the last call.

        Asked for every ten seconds. A session that announced none of its own borrows them, where
        all that have one under its number agree. None, too, of a file that no other collector
        writes.

        Raises
        ------
        StorageError
            They cannot be read; those of before stay.
        """
        ...
