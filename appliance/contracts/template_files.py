"""Files in which what exporters tell of their flows is kept for other programs, or by them."""

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


SAMPLED_KINDS = ("selector", "interface", "domain")
"""What of sampling others may know; files may hold the places in this tuple. A boot time would be
wrong after the next restart, and whose flows a domain has is for each collector to hear itself."""


class SavedSampling(NamedTuple):
    """A sampling rate that options records told, and of what.

    Attributes
    ----------
    address
        The exporter's, as text.
    domain
        Observation domain or source ID.
    version
        Of the protocol.
    kind
        One of `SAMPLED_KINDS`; a sampler is a selector.
    number
        Of the selector or interface; 0 for a domain.
    rate
        One packet, or flow, of so many.
    """

    address: str
    domain: int
    version: int
    kind: str
    number: int
    rate: float


class SavedApplication(NamedTuple):
    """The name of an application, as options records told it.

    Attributes
    ----------
    address, port
        Of the exporter's session.
    application
        As the column `application_id` has it.
    """

    address: str
    port: int
    application: int
    name: str


class TemplateFile(Protocol):
    """A file of templates, of sampling and names; used by the collector's thread.

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

    def write_sampling(self, saved: list[SavedSampling]) -> None:
        """Write what options records told of sampling in place of what was written before.

        Called after `write`; does nothing where nobody reads it.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        ...

    def write_applications(self, saved: list[SavedApplication]) -> None:
        """Write the names of applications in place of those written before; see `write_sampling`.

        Raises
        ------
        StorageError
            They cannot be written.
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

    def read_sampling_of_others(self) -> list[SavedSampling] | None:
        """Return what other collectors were told of sampling; None: nothing new since the last
        call, or nobody tells.

        Asked for with `read_others`. It serves where an exporter told this collector nothing of a
        subject, and all that know it agree.

        Raises
        ------
        StorageError
            It cannot be read; what was read before stays.
        """
        ...
