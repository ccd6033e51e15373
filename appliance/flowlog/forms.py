"""The forms of an export: media types and names of files; importable without pyarrow."""

from __future__ import annotations

from pathlib import Path

CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "ipfix": "application/ipfix",
}
"""By form, as IANA registers them; JSON lines, an object on each, have none there."""

_JSON_SUFFIXES = (".ndjson", ".jsonl")


def form_of_file(path: Path | None) -> str:
    """Return the form that the name of a file says, else csv."""
    suffix = "" if path is None else path.suffix.lower()
    form = "json" if suffix in _JSON_SUFFIXES else suffix.removeprefix(".")
    return form if form in CONTENT_TYPES else "csv"
