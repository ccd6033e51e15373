"""A change of the network, from the request to its confirmation or its end.

armed -> applying -> waiting -> confirmed, or -> rolling back -> rolled back. Each step is on the
disk before it is taken. The process that applies a change holds the lock until the interface is up
again; whoever finds the lock free and the change not yet waiting knows that this process, or the
machine, has died, and takes the change back.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from appliance.privileged.addressing import (
    NetworkSettings,
    StaticSettings,
    checked_interface,
    checked_settings,
)
from appliance.privileged.editing import CannotEdit, change_stanza, with_new_stanza
from appliance.privileged.files import CannotRead, find_configured, read_interfaces
from appliance.privileged.managers import other_manager
from appliance.privileged.programs import (
    IFDOWN_SECONDS,
    IFUP_SECONDS,
    Kernel,
    ProgramFailed,
    Programs,
)
from appliance.privileged.resolver import RESOLV_CONF, is_kept_by_others, with_servers
from appliance.privileged.storage import (
    APPLYING,
    ARMED,
    CONFIRMED,
    ROLLED_BACK,
    ROLLING_BACK,
    WAITING,
    ChangeRecord,
    ChangeStore,
    write_atomically,
)

ROLLBACK_SECONDS = range(5, 3601)
_NEW, _OLD, _OLD_RESOLVER = "new", "old", "resolv.conf"
_POLL_SECONDS = 1.0
LOOK_SECONDS = 5.0
"""More than it takes whoever looks after a change to look once."""


class Refused(Exception):  # noqa: N818 - it says what is the case
    """A change cannot be made; nothing was written.

    Attributes
    ----------
    status
        As of HTTP: 400 the request, 409 the state of the machine, 500 the machine itself.
    """

    def __init__(self, status: int, sentence: str) -> None:
        self.status = status
        super().__init__(sentence)


class NetworkChange:
    """Makes changes of the network, one at a time.

    Parameters
    ----------
    root
        `/`; another folder in tests.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        programs: Programs | None = None,
        kernel: Kernel | None = None,
    ) -> None:
        self._root = root
        self._programs = programs or Programs(root)
        self._kernel = kernel or Kernel()
        self.store = ChangeStore(root)

    def prepare(
        self, interface: str, values: Mapping[str, str], seconds: int, *, alone: bool = True
    ) -> ChangeRecord:
        """Check a change, write its backup and arm the roll-back; call with the lock held.

        Parameters
        ----------
        alone
            What the lock said: whether no other process is at work.

        Raises
        ------
        Refused
            It cannot be made.
        """
        try:
            settings = checked_settings(values)
            checked_interface(interface)
        except ValueError as error:
            raise Refused(400, str(error)) from None
        if seconds not in ROLLBACK_SECONDS:
            raise Refused(400, f"expected 5 to 3600 seconds to confirm, found {seconds}")
        if not alone or self.store.pending() is not None:
            raise Refused(409, "a change of the network is under way")
        if not self._kernel.has_interface(interface):
            raise Refused(409, f"there is no interface {interface}")
        if problem := other_manager(interface, self._root):
            raise Refused(409, problem)
        try:
            return self._arm(interface, settings, dict(values), seconds)
        except (CannotRead, CannotEdit) as error:
            raise Refused(409, str(error)) from None
        except (OSError, ProgramFailed) as error:
            raise Refused(500, str(error)) from None

    def apply(self, record: ChangeRecord) -> None:
        """Take the interface down, write the file, bring it up; call with the lock held."""
        self.store.put(record.now(APPLYING))
        try:
            self._programs.ifdown(record.interface)
            self._write(record)
            self._programs.ifup(record.interface)
            self._write_resolver(record)
        except (OSError, ProgramFailed, ValueError) as error:
            self._roll_back(record, str(error))
            return
        due = self._kernel.seconds_since_boot() + record.rollback_seconds
        self.store.put(record.now(WAITING, deadline=due))

    def look_after(self) -> bool:
        """Confirm or take back what is due; return whether a change is still under way.

        What the timer calls, and the process that made the change: doing it twice does no harm.
        """
        with self.store.lock() as alone:
            record = self.store.pending()
            if not alone:
                return record is not None
            if record is None:
                self.store.discard()
                return False
            if record.state != WAITING:
                self._roll_back(record, "the change was interrupted")
            elif self._gateway_answers(record):
                self.store.end(record.now(CONFIRMED, "the gateway answers"))
            elif self.seconds_left(record) <= 0:
                self._roll_back(
                    record,
                    f"nobody confirmed the change within {record.rollback_seconds} seconds",
                )
            else:
                return True
        return False

    def stay_until_the_end(self) -> None:
        """Look after the change until it has ended."""
        while self.look_after():
            self._kernel.pause(_POLL_SECONDS)

    def confirm(self) -> bool:
        """Keep the change for good; return whether there was one that waits."""
        if not _waits(self.store.pending()):
            return False
        with self.store.lock(LOOK_SECONDS) as alone:
            record = self.store.pending()
            if not alone or record is None or not _waits(record):
                return False
            self.store.end(record.now(CONFIRMED, "an authenticated request arrived"))
        return True

    def seconds_left(self, record: ChangeRecord) -> float:
        """Return how long a change still waits; after a restart of the machine, from its start."""
        if record.boot != self._kernel.boot():
            return record.rollback_seconds - self._kernel.seconds_running()
        return record.deadline - self._kernel.seconds_since_boot()

    def _arm(
        self, interface: str, settings: NetworkSettings, wanted: dict[str, str], seconds: int
    ) -> ChangeRecord:
        path, before, after = self._edit(interface, settings)
        self._read_back(path, after, interface, settings)
        name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"
        self.store.keep(name, _OLD, before)
        self.store.keep(name, _NEW, after)
        files = {str(path): _OLD}
        resolver = self._root / RESOLV_CONF
        if resolver.is_file() and not is_kept_by_others(self._root):
            self.store.keep(name, _OLD_RESOLVER, resolver.read_bytes())
            files[str(resolver)] = _OLD_RESOLVER
        allowed = IFDOWN_SECONDS + IFUP_SECONDS + seconds
        record = ChangeRecord(
            name,
            ARMED,
            interface,
            wanted,
            str(settings.gateway) if isinstance(settings, StaticSettings) else "",
            time.time(),
            self._kernel.boot(),
            self._kernel.seconds_since_boot() + allowed,
            seconds,
            files,
        )
        self._programs.arm_rollback()
        self.store.put(record)
        return record

    def _edit(self, interface: str, settings: NetworkSettings) -> tuple[Path, bytes, bytes]:
        """Return the file with the interface's stanza, as it is and as it shall be."""
        place = find_configured(read_interfaces(self._root), interface)
        # Something else has set it up then, and taking a change back could not restore that.
        if not place.is_known:
            raise CannotEdit(f"/etc/network/interfaces has no settings of {interface}")
        before = place.file.text
        if place.stanza is not None:
            after = change_stanza(before, place.stanza, settings)
        else:
            after = with_new_stanza(before, interface, settings, auto=not place.is_brought_up)
        return place.file.path, before.encode("latin-1"), after.encode("latin-1")

    def _read_back(
        self, path: Path, octets: bytes, interface: str, settings: NetworkSettings
    ) -> None:
        """Let ifupdown read the new file before it counts."""
        beside = path.parent / f".netflow-appliance-check-{secrets.token_hex(4)}"
        try:
            write_atomically(beside, octets)
            read = self._programs.ifquery(beside, interface)
        except ProgramFailed as error:
            raise CannotEdit(f"ifupdown does not understand the new file: {error}") from None
        finally:
            beside.unlink(missing_ok=True)
        if not isinstance(settings, StaticSettings):
            return
        wanted = {("address", str(settings.address)), ("gateway", str(settings.gateway))}
        if not wanted <= read:
            raise CannotEdit(f"ifupdown reads other settings of {interface} than were written")

    def _write(self, record: ChangeRecord) -> None:
        path = next(Path(path) for path, name in record.files.items() if name == _OLD)
        write_atomically(path, self.store.kept(record.id, _NEW))

    def _write_resolver(self, record: ChangeRecord) -> None:
        """Write the name servers into /etc/resolv.conf, where no program keeps it."""
        settings = checked_settings(record.wanted)
        if not isinstance(settings, StaticSettings) or is_kept_by_others(self._root):
            return
        path = self._root / RESOLV_CONF
        text = path.read_bytes().decode("latin-1") if path.is_file() else ""
        write_atomically(path, with_servers(text, settings.name_servers).encode("latin-1"))

    def _gateway_answers(self, record: ChangeRecord) -> bool:
        gateway = record.gateway or self._kernel.default_gateway(record.interface)
        return bool(gateway) and self._kernel.answers(gateway, record.interface)

    def _roll_back(self, record: ChangeRecord, reason: str) -> None:
        """Put the old files back and bring the interface up with them; go on whatever fails."""
        record = record.now(ROLLING_BACK, reason)
        problems: list[str] = []
        self.store.put(record)
        steps: tuple[Callable[[], None], ...] = (
            lambda: self._programs.ifdown(record.interface),
            lambda: self._restore(record),
            lambda: self._programs.ifup(record.interface),
        )
        for step in steps:
            try:
                step()
            except (OSError, ProgramFailed) as error:
                problems.append(str(error))
        self.store.end(record.now(ROLLED_BACK, "; ".join([reason, *problems])))

    def _restore(self, record: ChangeRecord) -> None:
        for path, name in record.files.items():
            write_atomically(Path(path), self.store.kept(record.id, name))


def _waits(record: ChangeRecord | None) -> bool:
    return record is not None and record.state == WAITING
