"""Templates that this collector lends to others, and those that it borrows: two files between the
collector and its loader, which exchanges them by ClickHouse (`template_exchange`).

An exporter whose datagrams come to several collectors in turns announces a template to one of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from appliance.atomic_files import atomic_write
from appliance.contracts import SavedTemplate
from appliance.decoding.templates.saved import template_from_saved, whole_number
from appliance.errors import StorageError
from appliance.flows import address_halves, address_text

OWN_FILE, OTHERS_FILE = "templates.json", "templates-of-others.json"
MAX_OCTETS = 16_000_000
"""The largest body of one collector; a template of 25 fields takes 400 octets."""

MAX_COLLECTORS = 64


class SharedTemplates:
    """A `TemplateFile`: writes what this collector knows, and reads what others do.

    Parameters
    ----------
    folder
        What the writer keeps beside the flow log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self.name = folder, str(folder / OWN_FILE)
        self._seen: tuple[int, int] | None = None

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
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._folder / OWN_FILE) as file:
                file.write(body_of(saved).encode())
        except OSError as error:
            raise StorageError(f"templates cannot be shared: {error}") from error

    def read_others(self) -> list[SavedTemplate] | None:
        """Return what the loader last got of others; None where that is as before.

        Raises
        ------
        StorageError
            The file cannot be read.
        """
        path = self._folder / OTHERS_FILE
        try:
            stat = path.stat()
            stamp = stat.st_mtime_ns, stat.st_ino
            if stamp == self._seen:
                return None
            if stat.st_size > MAX_OCTETS * MAX_COLLECTORS:
                raise StorageError(f"{path}: larger than what collectors share")
            self._seen = stamp
            bodies = json.loads(path.read_text(encoding="utf-8"))
            saved = [each for body in bodies.values() for each in templates_of(body)]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
            raise StorageError(f"{path}: {error}") from error
        return saved


def body_of(saved: Iterable[SavedTemplate]) -> str:
    """Return templates as JSON, those of the first exporters where all of them are too many."""
    pieces, size = [], 2
    for address, domain, version, template in saved:
        fields = [list(field) for field in template.fields]
        of_template = (template.template_id, template.scope_count, template.options, fields)
        piece = json.dumps([address, domain, version, *of_template], separators=(",", ":"))
        size += len(piece) + 1
        if size > MAX_OCTETS:
            break
        pieces.append(piece)
    return f"[{','.join(pieces)}]"


def templates_of(body: str) -> list[SavedTemplate]:
    """Return the templates of a body, which is read as untrusted: what does not fit is left out."""
    if len(body) > MAX_OCTETS:
        return []
    try:
        pieces = json.loads(body)
    except (ValueError, RecursionError):
        return []
    read = map(_template, pieces if isinstance(pieces, list) else [])
    return [saved for saved in read if saved is not None]


def _template(piece: Any) -> SavedTemplate | None:
    try:
        address, domain, version, template_id, scope_count, options, fields = piece
        template = template_from_saved(template_id, fields, scope_count, options=options is True)
        return SavedTemplate(
            address_text(*address_halves(address)),
            whole_number(domain, 1 << 32),
            whole_number(version, 1 << 16),
            template,
        )
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None
