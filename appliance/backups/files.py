"""What the core itself keeps in files: state, secrets, flow log, samples, and the settings.

The flow log's files are only added to and replaced, never changed, so links to them are a copy of
one moment. Its numbering goes on behind the backed up one even where the log itself was left out:
the databases' places in it stay good.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from appliance.atomic_files import PRIVATE, atomic_write
from appliance.backups.rights import owner_rights
from appliance.flowlog import FLOW_LOG_FOLDER, SAMPLES_FOLDER
from appliance.flowlog.names import FAMILIES, highest_number, list_files, parse
from appliance.flowlog.samples.files import STATE_FILE as SAMPLES_STATE
from appliance.flowlog.samples.files import is_sample_name, list_samples
from appliance.flowlog.writer import STATE_FILE
from appliance.settings.file import Settings

STATE, SETTINGS = "state", "settings"
_STATE_FILES = ("secret", "exporters.json", "*.conf", "*.lst", "tls/*.pem")
_SETTINGS_FILES = ("*.yml", "*.conf", "*.lst")
_TRIES = 5


def is_file_name(name: str) -> bool:
    """Tell whether `save_files` makes files of that name."""
    folder, _, rest = name.partition("/")
    patterns = {STATE: _STATE_FILES, SETTINGS: _SETTINGS_FILES}.get(folder, ())
    if any(p.count("/") == rest.count("/") and fnmatchcase(rest, p) for p in patterns):
        return True
    if folder == SAMPLES_FOLDER and (rest == SAMPLES_STATE or is_sample_name(rest)):
        return True
    family, _, file = rest.partition("/")
    is_of_log = rest == STATE_FILE or (family in FAMILIES and parse(Path(file)) is not None)
    return folder == FLOW_LOG_FOLDER and is_of_log and "/" not in file


def save_files(
    settings: Settings, folder: Path, *, flow_log: bool = False, samples: bool = False
) -> None:
    """Copy the core's files to a folder; the databases must be there already.

    Parameters
    ----------
    flow_log, samples
        Whether the log's own files, and its samples, are wanted too.
    """
    data: Path = settings["data_directory"]
    _copy_all(data, _STATE_FILES, folder / STATE)
    if settings.file is not None:
        _copy_all(settings.file.parent, _SETTINGS_FILES, folder / SETTINGS)
    if flow_log:
        _copy_flow_log(data / FLOW_LOG_FOLDER, folder / FLOW_LOG_FOLDER)
    if samples:
        _copy_samples(data / SAMPLES_FOLDER, folder / SAMPLES_FOLDER)
    # Last, so that its number is behind every place that a database knows.
    _write_numbering(data / FLOW_LOG_FOLDER, folder / FLOW_LOG_FOLDER)


def restore_files(
    settings: Settings, folder: Path, *, with_settings: bool, now: float
) -> Path | None:
    """Put back what `save_files` copied.

    Returns
    -------
    Path or None
        Where the flow log went that was there, when the backup has one.
    """
    data: Path = settings["data_directory"]
    _move_all(folder / STATE, data)
    if with_settings and settings.file is not None:
        _move_all(folder / SETTINGS, settings.file.parent)
    _move_all(folder / SAMPLES_FOLDER, data / SAMPLES_FOLDER)
    source, target, aside = folder / FLOW_LOG_FOLDER, data / FLOW_LOG_FOLDER, None
    if any((source / name).is_dir() for name in FAMILIES) and highest_number(target):
        aside = target.with_name(f"{FLOW_LOG_FOLDER}.before-{int(now)}")
        os.rename(target, aside)
    if _segment(source) > _segment(target):
        _move_all(source, target)
    return aside


def _copy_all(source: Path, patterns: tuple[str, ...], target: Path) -> None:
    if not source.is_dir():
        return
    with owner_rights(source):
        contents = {path: path.read_bytes() for path in _matching(source, patterns)}
    for path, content in contents.items():
        to = target / path.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(content)


def _matching(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        yield from (path for path in sorted(folder.glob(pattern)) if path.is_file())


def _copy_flow_log(source: Path, target: Path) -> None:
    for _ in range(_TRIES):
        shutil.rmtree(target, ignore_errors=True)
        # A file may be merged into another one meanwhile; the new one has its place.
        with suppress(FileNotFoundError):
            for options in (False, True):
                for file in list_files(source, options)[0]:
                    _link(file.path, target / FAMILIES[options] / file.path.name, file.kind)
            return
    raise OSError(f"{source} changes faster than it can be copied")


def _copy_samples(source: Path, target: Path) -> None:
    # First, as each hour says by itself what it has beyond the position there.
    _copy_all(source, (SAMPLES_STATE,), target)
    for file in list_samples(source):
        # It may be past its time, or be made anew.
        with suppress(FileNotFoundError):
            _link(file.path, target / file.path.name, "parquet")


def _link(path: Path, to: Path, kind: str) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if kind == "open":
        # It still grows; what is cut off at its end is not committed.
        shutil.copyfile(path, to)
        return
    try:
        os.link(path, to)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(path, to)


def _write_numbering(source: Path, target: Path) -> None:
    content: dict[str, object] = {"state": {}}
    with suppress(OSError, ValueError):
        content = json.loads((source / STATE_FILE).read_bytes())
    content["segment"] = _segment(source)
    target.mkdir(parents=True, exist_ok=True)
    (target / STATE_FILE).write_text(json.dumps(content))


def _segment(folder: Path) -> int:
    """Return the last segment number of a log."""
    try:
        written = int(json.loads((folder / STATE_FILE).read_bytes())["segment"])
    except (OSError, ValueError, KeyError, TypeError):
        written = 0
    return max(written, highest_number(folder))


def _move_all(source: Path, target: Path) -> None:
    """Move files into a folder, each at once, to that folder's owner and readable for it only.

    A file that is replaced keeps its owner and mode.
    """
    if not source.is_dir():
        return
    for path in (source, *sorted(source.rglob("*"))):
        to = target / path.relative_to(source)
        if path.is_dir():
            with owner_rights(target if target.exists() else target.parent):
                if not to.exists():
                    to.mkdir(mode=0o700)
            continue
        with (
            path.open("rb") as content,
            owner_rights(target),
            atomic_write(to, PRIVATE, keep=True) as file,
        ):
            shutil.copyfileobj(content, file)
