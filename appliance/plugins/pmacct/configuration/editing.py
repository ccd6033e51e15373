"""Changes values of a collector configuration and keeps every other octet of the file.

A value is changed on every line of its key, scoped to a plugin or not, so that the new one counts
whatever the order; a key that is not there for all plugins is added at the end. The file is
replaced at once and keeps its mode; two writers wait for each other.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from appliance.atomic_files import PRIVATE, atomic_write
from appliance.errors import SettingsError, StorageError
from appliance.plugins.pmacct.configuration.config import CollectorConfig, ConfigLine, read_config

Changes = Mapping[str, str | None]
"""New values by key; None takes the key out."""


def edit_config(config: CollectorConfig, changes: Changes) -> str:
    """Return the text of a configuration with changes.

    Raises
    ------
    SettingsError
        A value would not be read back as it is: it has a line end, or blanks around it.
    """
    for key, value in changes.items():
        if value is not None and (value != value.strip() or len(value.splitlines()) > 1):
            raise SettingsError("expected one line without blanks around it", key=key)
    lines = [_edit_line(line, changes) for line in config.lines]
    text = "".join(lines)
    there = {line.key for line in config.lines if not line.plugin}
    added = [(key, value) for key, value in changes.items() if key not in there and value]
    end = _line_end(config)
    if added and text and not text.endswith(("\n", "\r")):
        text += end
    return text + "".join(f"{key}: {value}{end}" for key, value in added)


def change_config(path: Path, change: Callable[[CollectorConfig | None], str]) -> None:
    """Replace a configuration by what a function makes of it, alone and at once.

    Parameters
    ----------
    change
        Called with the file as it is now (None when there is none); returns its new text.

    Raises
    ------
    SettingsError
        The file is there but cannot be read.
    StorageError
        It cannot be written.
    """
    try:
        with _alone(path.parent):
            there = read_config(path) if path.exists() else None
            text = change(there).encode("utf-8", "surrogateescape")
            with atomic_write(path.resolve(), PRIVATE, keep=True, durable=True) as file:
                file.write(text)
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise StorageError(f"{path}: cannot be written: {problem}") from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder: it leaves no file behind."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _edit_line(line: ConfigLine, changes: Changes) -> str:
    if line.key not in changes or not line.key:
        return line.text
    value = changes[line.key]
    if value is None:
        return ""
    left, colon, right = line.text.partition(":")
    body = right.rstrip("\r\n")
    end = right[len(body) :]
    if not body.strip():
        return f"{left}{colon} {value}{end}"
    before = body[: len(body) - len(body.lstrip())]
    after = body[len(body.rstrip()) :]
    return f"{left}{colon}{before}{value}{after}{end}"


def _line_end(config: CollectorConfig) -> str:
    ends = [line.text for line in config.lines if line.text.endswith(("\n", "\r"))]
    return "\r\n" if ends and ends[-1].endswith("\r\n") else "\n"
