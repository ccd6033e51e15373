"""Makes a backup and puts one back: the parts of the plugins, then the core's own files."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance.app import App
from appliance.backups.archive import BackupError, Manifest, pack, unpack
from appliance.backups.files import is_file_name, restore_files, save_files
from appliance.backups.rights import owner_rights
from appliance.process_parts import gather_backups
from appliance.processes.supervision import AlreadyRunning, PidFile
from appliance.processes.supervision.choice import pid_file_path
from appliance.web.lock import LockHeld, exclusive_api_lock

PREFIX, SUFFIX = "netflow-appliance-", ".tar.zst"
_MADE = re.compile(rf"{PREFIX}\d{{8}}T\d{{6}}Z{re.escape(SUFFIX)}")


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back.

    Attributes
    ----------
    log_aside
        Where the flow log went that was there before.
    """

    manifest: Manifest
    log_aside: Path | None


def backup(
    app: App, target: Path, *, flow_log: bool, now: float, samples: bool = False
) -> tuple[Path, Manifest]:
    """Write a backup to a file, or to a new file in a folder; return which, and what it holds.

    Raises
    ------
    ApplianceError
        A database is away, or the file cannot be written.
    """
    made = datetime.fromtimestamp(now, UTC)
    if target.is_dir():
        target /= f"{PREFIX}{made:%Y%m%dT%H%M%SZ}{SUFFIX}"
    with _scratch(app, target) as folder:
        for part in gather_backups(app):
            (folder / part.name).mkdir()
            part.save(folder / part.name)
        save_files(app.settings, folder, flow_log=flow_log, samples=samples)
        return target, pack(folder, target, made.isoformat())


def delete_old(folder: Path, keep: int) -> list[Path]:
    """Delete all but the newest backups that were made into a folder; return those deleted."""
    found = sorted(path for path in folder.iterdir() if _MADE.fullmatch(path.name))
    old = found[: max(0, len(found) - keep)]
    for path in old:
        path.unlink(missing_ok=True)
    return old


def restore(app: App, archive: Path, *, with_settings: bool) -> Restored:
    """Put a backup back; nothing is touched before all of it is read and found whole.

    Raises
    ------
    ApplianceError
        Collector or API run, or the archive cannot be used.
    """
    with _scratch(app, archive) as folder, _nothing_runs(app, archive):
        parts = gather_backups(app)
        names = {part.name for part in parts}
        manifest = unpack(
            *(archive, folder), lambda name: name.split("/")[0] in names or is_file_name(name)
        )
        for part in parts:
            (folder / part.name).mkdir(exist_ok=True)
            part.restore(folder / part.name)
        aside = restore_files(app.settings, folder, with_settings=with_settings, now=time.time())
        return Restored(manifest, aside)


@contextmanager
def _scratch(app: App, archive: Path) -> Iterator[Path]:
    """Work in the data directory: the flow log can be linked there, and its disk has space.

    All of the block has the rights of its owner.
    """
    data: Path = app.settings["data_directory"]
    with ExitStack() as rights:
        try:
            data.mkdir(parents=True, exist_ok=True)
            rights.enter_context(owner_rights(data))
            folder = Path(tempfile.mkdtemp(prefix=".backup-", dir=data))
        except OSError as error:
            problem = f"{data} cannot be written: {(error.strerror or '').lower()}"
            raise BackupError(archive, problem) from None
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _nothing_runs(app: App, archive: Path) -> Iterator[None]:
    """Hold the locks of collector and API, so that neither runs nor is started meanwhile."""
    pid_file = PidFile(pid_file_path(app.settings))
    with ExitStack() as held:
        try:
            pid_file.hold()
            held.callback(pid_file.release)
            held.enter_context(exclusive_api_lock(app.settings))
        except (AlreadyRunning, LockHeld) as error:
            raise BackupError(archive, f"{error}: stop it before") from None
        yield
