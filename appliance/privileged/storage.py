"""Files that the privileged helper writes: whole or not at all, and what it remembers of a change.

The state folder belongs to root. `pending` is there while a change of the network is under way, and
only then; it is renamed to `last` when the change has ended. Both hold one JSON object.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

STATE_FOLDER = "var/lib/netflow-appliance-helper"
KEPT_BACKUPS = 10
_LOCK_POLL_SECONDS = 0.02

ARMED = "armed"
APPLYING = "applying"
WAITING = "waiting"
ROLLING_BACK = "rolling back"
CONFIRMED = "confirmed"
ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """A change of the network, as far as it has come.

    Attributes
    ----------
    id
        Also the name of the folder with the files as they were.
    state
        One of the constants above.
    wanted
        The values of the request.
    gateway
        That has to answer; empty with DHCP, where it is known afterwards.
    started
        Seconds UTC.
    boot
        Of the machine's run in which `deadline` counts.
    deadline
        Seconds since that boot: when it is taken back.
    files
        What is put back, by path; the names are those in the folder of backups.
    """

    id: str
    state: str
    interface: str
    wanted: dict[str, str]
    gateway: str
    started: float
    boot: str
    deadline: float
    rollback_seconds: int
    files: dict[str, str] = field(default_factory=dict)
    reason: str = ""

    def now(self, state: str, reason: str = "", deadline: float | None = None) -> ChangeRecord:
        """Return the record in another state."""
        due = self.deadline if deadline is None else deadline
        return replace(self, state=state, reason=reason or self.reason, deadline=due)


class ChangeStore:
    """Keeps the record of the change under way and of the last one, with backups.

    Parameters
    ----------
    root
        `/`; another folder in tests.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / STATE_FOLDER
        self._pending, self._last = self.folder / "pending", self.folder / "last"

    @contextmanager
    def lock(self, patience_seconds: float = 0.0) -> Iterator[bool]:
        """Be the only one at work; gives False when another process still is after this time."""
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as file:
            deadline = time.monotonic() + patience_seconds
            while not (alone := _is_locked(file)) and time.monotonic() < deadline:
                time.sleep(_LOCK_POLL_SECONDS)
            yield alone

    def pending(self) -> ChangeRecord | None:
        """Return the change under way."""
        return read_record(self._pending)

    def latest(self) -> ChangeRecord | None:
        """Return the change under way, else the last one."""
        return self.pending() or read_record(self._last)

    def put(self, record: ChangeRecord) -> None:
        """Remember how far a change is, on the disk."""
        write_atomically(self._pending, json.dumps(asdict(record)).encode())

    def end(self, record: ChangeRecord) -> None:
        """Remember how a change ended; nothing is under way any more."""
        self.put(record)
        self._pending.replace(self._last)
        _sync_folder(self.folder)
        self._forget_old_backups()

    def discard(self) -> None:
        """Forget a pending record that cannot be read, so that it does not stand in the way."""
        with contextlib.suppress(OSError):
            self._pending.replace(self.folder / "unreadable")

    def keep(self, change_id: str, name: str, octets: bytes) -> None:
        """Put octets aside under the name of a change."""
        folder = self._backups / change_id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(folder / name, octets)
        _sync_folder(self._backups)

    def kept(self, change_id: str, name: str) -> bytes:
        """Return what was put aside."""
        return (self._backups / change_id / name).read_bytes()

    @property
    def _backups(self) -> Path:
        return self.folder / "backups"

    def _forget_old_backups(self) -> None:
        for old in sorted(self._backups.glob("*"))[:-KEPT_BACKUPS]:
            shutil.rmtree(old, ignore_errors=True)


def _is_locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_atomically(path: Path, octets: bytes) -> None:
    """Replace a file's content so that it is there whole, whatever happens; owner and mode stay.

    A symbolic link stays one. A file that cannot be renamed over, such as a mounted one, is written
    in place.
    """
    path = Path(os.path.realpath(path))
    # The name begins with a dot, so no pattern of `source` finds it.
    descriptor, name = tempfile.mkstemp(prefix=".netflow-appliance-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _take_owner_and_mode(descriptor, path)
            file.write(octets)
            file.flush()
            os.fsync(descriptor)
        os.rename(name, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(name)
        if error.errno != errno.EBUSY:
            raise
        path.write_bytes(octets)
    _sync_folder(path.parent)


def _take_owner_and_mode(descriptor: int, path: Path) -> None:
    try:
        there = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o644)
        return
    os.fchown(descriptor, there.st_uid, there.st_gid)
    os.fchmod(descriptor, there.st_mode & 0o7777)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_record(path: Path) -> ChangeRecord | None:
    """Return the record in a file; None when there is none."""
    try:
        found: Any = json.loads(path.read_bytes())
        return ChangeRecord(**found)
    except (OSError, ValueError, TypeError):
        return None
