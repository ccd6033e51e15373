"""nfacctd's file of templates (`nfacctd_templates_file`): one JSON object to a line.

As nfacctd 1.7.7 writes it: identifiers are in network byte order, and of options templates only
what it uses of them. So a line that was written here also says the version, and all of an options
template; nfacctd reads past what it does not know. Its own lines name no version: such a template
counts for NetFlow v9 and for IPFIX alike. Two kinds of them do not tell the template and are left:
options templates, and those with an element of IANA's twice, of which nfacctd knows only the last.
"""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from appliance.atomic_files import atomic_write
from appliance.contracts import SavedApplication, SavedSampling, SavedTemplate
from appliance.decoding.templates.saved import template_from_saved, whole_number
from appliance.decoding.templates.template import (
    V9_SCOPE,
    VARIABLE_LENGTH,
    FieldSpecifier,
)
from appliance.errors import StorageError

MAX_FILE_OCTETS = 64_000_000
V9, IPFIX = 9, 10

_LEGACY, _EXTENSION = 0, 1
_FIRST_EXTENSION = 384
"""Elements from here on, and those of enterprises, are in the other of nfacctd's two tables ..."""

_BUCKETS, _OF_BUCKET, _LISTED = 8, 32, 255
"""... which is made of so many lists of so many; and so many fields has a template at the most. It
does not check what it reads, so it must not be given more."""


class TemplatesFile:
    """A `TemplateFile` at a path."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)

    def read(self) -> tuple[list[SavedTemplate], int]:
        """Return what `read_templates` does.

        Raises
        ------
        StorageError
            The file cannot be read, or is too large.
        """
        try:
            return read_templates(self.path)
        except (OSError, ValueError) as error:
            raise StorageError(f"templates file {self.path}: {error}") from error

    def write(self, saved: list[SavedTemplate]) -> None:
        """Write the file.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        try:
            write_templates(self.path, saved)
        except OSError as error:
            raise StorageError(f"templates cannot be saved: {error}") from error

    def write_sampling(self, saved: list[SavedSampling]) -> None:
        """Do nothing: nfacctd keeps no sampling in its file."""

    def write_applications(self, saved: list[SavedApplication]) -> None:
        """Do nothing, as `write_sampling` does."""

    def read_others(self) -> None:
        """Return nothing: nfacctd and this collector do not run at the same time."""

    def read_sampling_of_others(self) -> None:
        """Return nothing, as `read_others` does."""


def write_templates(path: Path, saved: Iterable[SavedTemplate]) -> None:
    """Write a file in place of the old one.

    Raises
    ------
    OSError
        It cannot be written.
    """
    with atomic_write(path, durable=True) as file:
        lines = (line for each in saved if (line := _line(each)))
        file.writelines(f"{json.dumps(line)}\n".encode() for line in lines)


def read_templates(path: Path) -> tuple[list[SavedTemplate], int]:
    """Read a file; one that does not exist holds nothing.

    Returns
    -------
    tuple
        The templates, and how many lines could not be used; those of nfacctd's that do not tell
        the template are not counted.

    Raises
    ------
    OSError, ValueError
        The file cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_FILE_OCTETS + 1)
    except FileNotFoundError:
        return [], 0
    if len(octets) > MAX_FILE_OCTETS:
        raise ValueError(f"larger than {MAX_FILE_OCTETS // 1_000_000} MB")
    found: list[SavedTemplate] = []
    unusable = 0
    for line in octets.splitlines():
        try:
            found += _read_line(json.loads(line)) if line.strip() else []
        except (ValueError, KeyError, TypeError, RecursionError):
            unusable += 1
    return found, unusable


def _line(saved: SavedTemplate) -> dict[str, Any] | None:
    """Return the line of a template; None for one that nfacctd could not hold."""
    template = saved.template
    line: dict[str, Any] = {
        "agent": saved.address,
        "source_id": saved.domain,
        "template_id": _swap_octets(template.template_id),
        "template_type": 1 if template.options else 0,
        "num": len(template.fields),
        "len": 0 if template.is_variable else template.minimum_length,
    }
    own: dict[str, Any] = {"version": saved.version}
    if template.options:
        fields = [list(field) for field in template.fields]
        own |= {"scope_count": template.scope_count, "fields": fields}
        return line | {"tpl": _option_fields(template.fields)} | own
    listed = _field_tables(template.fields)
    return line | {"vlen": int(template.is_variable), "list": listed} | own if listed else None


def _field_tables(fields: Sequence[FieldSpecifier]) -> list[dict[str, Any]] | None:
    """Return the fields of a data template in nfacctd's two tables, None when they have no room."""
    found: list[dict[str, Any]] = []
    buckets: Counter[int] = Counter()
    seen: Counter[int] = Counter()
    for (element, length, enterprise), offset in zip(fields, _offsets(fields), strict=True):
        place = {"off": offset, "len": length % VARIABLE_LENGTH, "tpl_len": length}
        if enterprise == 0 and element < _FIRST_EXTENSION:
            found.append({"type": _LEGACY, "otpl": place | {"tpl_index": element}})
            continue
        bucket = element % _BUCKETS
        named = {"pen": enterprise, "type": element}
        which = {"repeat_id": seen[element], "ie_idx": buckets[bucket]}
        found.append({"type": _EXTENSION, "utpl": named | place | which})
        buckets[bucket] += 1
        seen[element] += 1
    fits = len(found) <= _LISTED and max(buckets.values(), default=0) <= _OF_BUCKET
    return found if fits else None


def _option_fields(fields: Sequence[FieldSpecifier]) -> list[dict[str, int]]:
    """Return what nfacctd uses of an options template: one field of each element, by number."""
    found = {
        element: {"type": element, "off": offset, "len": length % VARIABLE_LENGTH}
        for (element, length, enterprise), offset in zip(fields, _offsets(fields), strict=True)
        if enterprise in (0, V9_SCOPE) and element < _FIRST_EXTENSION
    }
    return [found[element] for element in sorted(found)]


def _offsets(fields: Sequence[FieldSpecifier]) -> list[int]:
    """Return where each field begins; 0 behind the first one of variable length."""
    found, position, is_fixed = [], 0, True
    for field in fields:
        found.append(position)
        is_fixed = is_fixed and field.length != VARIABLE_LENGTH
        position = position + field.length if is_fixed else 0
    return found


def _read_line(line: Any) -> list[SavedTemplate]:
    address = str(ipaddress.ip_address(line["agent"]))
    domain = whole_number(line["source_id"], 1 << 32)
    template_id = _swap_octets(whole_number(line["template_id"], 1 << 16))
    is_options = whole_number(line["template_type"], 2) == 1
    if is_options and "fields" not in line:
        return []
    fields = line["fields"] if is_options else map(_field, line["list"])
    scope_count = line["scope_count"] if is_options else 0
    template = template_from_saved(template_id, fields, scope_count, options=is_options)
    if "version" not in line and _repeats(template.fields):
        return []
    return [SavedTemplate(address, domain, v, template) for v in _versions(line, template.fields)]


def _field(entry: dict[str, Any]) -> tuple[Any, Any, Any]:
    if entry["type"] == _LEGACY:
        return entry["otpl"]["tpl_index"], entry["otpl"]["tpl_len"], 0
    return entry["utpl"]["type"], entry["utpl"]["tpl_len"], entry["utpl"]["pen"]


def _repeats(fields: Sequence[FieldSpecifier]) -> bool:
    """Tell whether an element of nfacctd's first table is there twice."""
    legacy = [f.element for f in fields if f.enterprise == 0 and f.element < _FIRST_EXTENSION]
    return len(set(legacy)) < len(legacy)


def _versions(line: dict[str, Any], fields: Sequence[FieldSpecifier]) -> tuple[int, ...]:
    """Return which protocols a template can be of."""
    if "version" in line:
        if line["version"] not in (V9, IPFIX):
            raise ValueError(line)
        return (line["version"],)
    if any(field.enterprise or field.length == VARIABLE_LENGTH for field in fields):
        return (IPFIX,)
    # RFC 7011 section 3.2: in IPFIX the first bit of an identifier says something else.
    return (V9,) if any(field.element >= 1 << 15 for field in fields) else (V9, IPFIX)


def _swap_octets(template_id: int) -> int:
    """Exchange the two octets of a number, as nfacctd leaves them in network byte order."""
    return template_id >> 8 | (template_id & 0xFF) << 8
