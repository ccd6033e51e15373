"""The privileged helper: one process for one request, then it is gone.

systemd starts it for each connection to its socket (`appliance-helper.socket`), as root, with the
connection as standard input. It looks who is calling, checks everything again and can do only what
`protocol.ACTS` lists. With the argument `rollback` it takes back a change of the network that
nobody confirmed; that is what `appliance-network-rollback.timer` runs.

Nothing beyond the standard library is imported here, neither settings nor plugins.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import pwd
import re
import socket
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from appliance.privileged.change import LOOK_SECONDS, NetworkChange, Refused
from appliance.privileged.programs import Kernel, ProgramFailed, Programs
from appliance.privileged.protocol import (
    REQUEST_SECONDS,
    BadRequest,
    parse_request,
    receive_request,
    reply,
    user_of,
)
from appliance.privileged.storage import APPLYING, ARMED, ROLLING_BACK, WAITING, ChangeRecord

SERVICE_USER = "netflow"
_ANSWER_SECONDS = 1.0
"""How long a change of the network waits, so that its announcement reaches the caller."""

log = logging.getLogger("appliance.helper")


def nothing() -> None:
    """Do nothing after the answer."""


class Helper:
    """Answers one request and carries it out.

    Parameters
    ----------
    users
        Who may ask.
    root
        `/`; another folder in tests.
    """

    def __init__(
        self,
        users: Collection[int],
        root: Path = Path("/"),
        programs: Programs | None = None,
        kernel: Kernel | None = None,
    ) -> None:
        self._users = frozenset(users)
        self._programs = programs or Programs(root)
        self._kernel = kernel or Kernel()
        self.network = NetworkChange(root, self._programs, self._kernel)

    def serve(self, connection: socket.socket, seconds: float = REQUEST_SECONDS) -> None:
        """Answer the request of a connection, close it, and do what comes after."""
        act = ""
        with connection:
            try:
                user = user_of(connection)
                if user not in self._users:
                    log.warning("user %d may not ask", user)
                    _send(connection, reply(status=403, error="you may not ask this helper"))
                    return
                act, values = parse_request(receive_request(connection, seconds))
                if act == "network_change":
                    self._change_network(connection, values)
                    return
                octets = self._answer(act)
            except BadRequest as error:
                octets = reply(status=400, error=str(error))
            except (ProgramFailed, OSError) as error:
                log.warning("%s: %s", act or "a request", error)
                octets = reply(status=500, error=str(error))
            _send(connection, octets)

    def _answer(self, act: str) -> bytes:
        actions: dict[str, Callable[[], bytes]] = {
            "network_confirm": self._confirm,
            "network_status": lambda: reply(change=describe_change(self.network)),
            "reboot": lambda: self._done(self._programs.reboot),
            "power_off": lambda: self._done(self._programs.power_off),
            "collector_start": lambda: self._done(lambda: self._programs.collector("start")),
            "collector_stop": lambda: self._done(lambda: self._programs.collector("stop")),
            "collector_forget": lambda: self._done(
                lambda: self._programs.collector("reset-failed")
            ),
        }
        if act != "network_status":
            log.info("%s", act)
        return actions[act]()

    def _done(self, action: Callable[[], None]) -> bytes:
        action()
        return reply()

    def _confirm(self) -> bytes:
        if not self.network.confirm():
            return reply(status=409, error="no change of the network waits to be confirmed")
        return reply(change=describe_change(self.network))

    def _change_network(self, connection: socket.socket, values: dict[str, str]) -> None:
        """Announce a change, hang up, make it and stay until it is confirmed or taken back."""
        interface = values.pop("interface", "")
        seconds = values.pop("rollback_seconds", "")
        number = int(seconds) if re.fullmatch(r"[0-9]{1,4}", seconds) else 0
        with self.network.store.lock(LOOK_SECONDS) as alone:
            try:
                record = self.network.prepare(interface, values, number, alone=alone)
            except Refused as refusal:
                _send(connection, reply(status=refusal.status, error=str(refusal)))
                return
            log.info("change of %s to %s", interface, values)
            _send(connection, reply(change=describe_change(self.network)))
            connection.close()
            self._kernel.pause(_ANSWER_SECONDS)
            self.network.apply(record)
        self.network.stay_until_the_end()


def describe_change(network: NetworkChange) -> dict[str, Any] | None:
    """Return the change under way or the last one, for people; None when there was none."""
    record = network.store.latest()
    if record is None:
        return None
    waits = record.state == WAITING
    return {
        "state": record.state,
        "inProgress": record.state in (ARMED, APPLYING, WAITING, ROLLING_BACK),
        "interface": record.interface,
        "wanted": record.wanted,
        "started": record.started,
        "rollbackSeconds": record.rollback_seconds,
        "secondsLeft": max(0, math.ceil(network.seconds_left(record))) if waits else None,
        "message": _sentence(record),
    }


def _sentence(record: ChangeRecord) -> str:
    waiting = "waits for the gateway or an authenticated request"
    return record.reason or {WAITING: waiting, ROLLING_BACK: "is taken back"}.get(
        record.state, "is being applied"
    )


def allowed_users() -> set[int]:
    """Return who may ask: the service's user, and root, who could do all of it anyway."""
    users = {0}
    with contextlib.suppress(KeyError):
        users.add(pwd.getpwnam(SERVICE_USER).pw_uid)
    return users


def main(arguments: list[str]) -> int:
    """Serve the connection that is standard input, or take back what is due."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    os.umask(0o022)
    os.chdir("/")
    if arguments == ["rollback"]:
        NetworkChange().look_after()
        return 0
    if arguments:
        print("expected no argument, or rollback", file=sys.stderr)
        return 2
    try:
        connection = socket.socket(fileno=os.dup(0))
    except OSError:
        print("standard input is no socket; systemd starts this program", file=sys.stderr)
        return 2
    # What is left on standard input would keep the connection open until this process ends.
    with open(os.devnull, "rb") as nowhere:
        os.dup2(nowhere.fileno(), 0)
    Helper(allowed_users()).serve(connection)
    return 0


def _send(connection: socket.socket, octets: bytes) -> None:
    # A caller who hangs up early does not keep an act that was checked from being carried out.
    with contextlib.suppress(OSError):
        connection.settimeout(REQUEST_SECONDS)
        connection.sendall(octets)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
