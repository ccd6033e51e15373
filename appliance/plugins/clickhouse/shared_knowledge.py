"""What exporters told this collector, for others, and what it borrows of theirs: bodies of JSON.

An exporter whose datagrams come to several collectors in turns announces a template, or tells how
it samples, to one of them. Names of applications are for answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any, TypeVar

from appliance.contracts import SavedApplication, SavedSampling, SavedTemplate
from appliance.contracts.template_files import SAMPLED_KINDS
from appliance.decoding.templates.saved import template_from_saved, whole_number
from appliance.flows import address_halves, address_text
from appliance.plugins.clickhouse.shared_bodies import (
    APPLICATION_BODY,
    SAMPLING_BODY,
    TEMPLATE_BODY,
    BodyFiles,
    joined_body,
    pieces_of_body,
)

_LARGEST_RATE = 1 << 62
_PART = 1000
"""So many rates or names of an exporter are one entry of a body, which fits or is left out."""

T = TypeVar("T")


class SharedKnowledge:
    """A `TemplateFile`: writes what this collector knows, and reads what others do.

    Parameters
    ----------
    folder
        What the writer keeps beside the flow log.
    """

    def __init__(self, folder: Path) -> None:
        self.name = str(folder / TEMPLATE_BODY.own_file)
        self._templates = BodyFiles(folder, TEMPLATE_BODY)
        self._sampling = BodyFiles(folder, SAMPLING_BODY)
        self._applications = BodyFiles(folder, APPLICATION_BODY)

    def read(self) -> tuple[list[SavedTemplate], int]:
        """Return nothing: the collector keeps its own elsewhere."""
        return [], 0

    def write(self, saved: list[SavedTemplate]) -> None:
        """Write what the loader passes on.

        Raises
        ------
        StorageError
            The file cannot be written.
        """
        self._templates.write(template_body(saved))

    def write_sampling(self, saved: list[SavedSampling]) -> None:
        """Write it as `write` does."""
        self._sampling.write(sampling_body(saved))

    def write_applications(self, saved: list[SavedApplication]) -> None:
        """Write them as `write` does; answers read them."""
        self._applications.write(application_body(saved))

    def read_others(self) -> list[SavedTemplate] | None:
        """Return what the loader last got of others; None where that is as before.

        Raises
        ------
        StorageError
            The file cannot be read.
        """
        return self._templates.read_others(templates_of)

    def read_sampling_of_others(self) -> list[SavedSampling] | None:
        """Return it as `read_others` does."""
        return self._sampling.read_others(sampling_of)


def template_body(saved: Iterable[SavedTemplate]) -> str:
    """Return templates as JSON, those of the first exporters where all of them are too many."""
    pieces = (
        [
            *(address, domain, version, template.template_id, template.scope_count),
            template.options,
            [list(field) for field in template.fields],
        ]
        for address, domain, version, template in saved
    )
    return joined_body(pieces, TEMPLATE_BODY)


def templates_of(body: str) -> list[SavedTemplate]:
    """Return the templates of a body, which is read as untrusted: what does not fit is left out."""
    read = map(_template, pieces_of_body(body, TEMPLATE_BODY))
    return [saved for saved in read if saved is not None]


def sampling_body(saved: Iterable[SavedSampling]) -> str:
    """Return sampling as JSON, by exporter and version: the first where all is too much."""
    by_exporter = groupby(sorted(saved, key=_of_exporter), _of_exporter)
    pieces = (
        [
            *key,
            [
                [SAMPLED_KINDS.index(one.kind), one.domain, one.number, _short(one.rate)]
                for one in some
            ],
        ]
        for key, group in by_exporter
        for some in _parts(group)
    )
    return joined_body(pieces, SAMPLING_BODY)


def application_body(saved: Iterable[SavedApplication]) -> str:
    """Return names as JSON, by session: the first ones where all of them are too many."""
    by_session = groupby(sorted(saved), _of_session)
    pieces = (
        [*key, [[one.application, one.name] for one in some]]
        for key, group in by_session
        for some in _parts(group)
    )
    return joined_body(pieces, APPLICATION_BODY)


def applications_of(body: str) -> list[SavedApplication]:
    """Return the names of a body; see `templates_of`."""
    pieces = pieces_of_body(body, APPLICATION_BODY)
    return [saved for piece in pieces for saved in _entries(piece, _name)]


def _parts(saved: Iterator[T]) -> Iterator[list[T]]:
    while part := list(islice(saved, _PART)):
        yield part


def sampling_of(body: str) -> list[SavedSampling]:
    """Return the sampling of a body; see `templates_of`."""
    pieces = pieces_of_body(body, SAMPLING_BODY)
    return [saved for piece in pieces for saved in _entries(piece, _rate)]


def _of_exporter(saved: SavedSampling) -> tuple[str, int]:
    return saved.address, saved.version


def _of_session(saved: SavedApplication) -> tuple[str, int]:
    return saved.address, saved.port


def _short(rate: float) -> float:
    return int(rate) if rate == int(rate) else rate


def _address(text: Any) -> str:
    """Return an address in its usual form; a number would pass for one."""
    if not isinstance(text, str):
        raise TypeError(text)
    return address_text(*address_halves(text))


def _template(piece: Any) -> SavedTemplate | None:
    try:
        address, domain, version, template_id, scope_count, options, fields = piece
        template = template_from_saved(template_id, fields, scope_count, options=options is True)
        return SavedTemplate(
            _address(address),
            whole_number(domain, 1 << 32),
            whole_number(version, 1 << 16),
            template,
        )
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


def _entries(piece: Any, entry_of: Callable[[tuple[str, int], Any], Iterator[T]]) -> Iterator[T]:
    """Yield what can be read of the entries of an address and its version, or its port."""
    try:
        address, number, entries = piece
        owner = _address(address), whole_number(number, 1 << 16)
        for entry in entries:
            yield from entry_of(owner, entry)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return


def _rate(exporter: tuple[str, int], piece: Any) -> Iterator[SavedSampling]:
    try:
        kind, domain, number, rate = piece
        if isinstance(rate, bool) or not isinstance(rate, int | float):
            return
        # A comparison that not-a-number fails, too.
        if not 1 <= rate < _LARGEST_RATE:
            return
        address, version = exporter
        yield SavedSampling(
            address,
            whole_number(domain, 1 << 32),
            version,
            SAMPLED_KINDS[whole_number(kind, len(SAMPLED_KINDS))],
            whole_number(number, 1 << 64),
            float(rate),
        )
    except (ValueError, TypeError):
        return


def _name(session: tuple[str, int], piece: Any) -> Iterator[SavedApplication]:
    try:
        application, name = piece
        if isinstance(name, str):
            yield SavedApplication(*session, whole_number(application, 1 << 64, 1), name)
    except (ValueError, TypeError):
        return
