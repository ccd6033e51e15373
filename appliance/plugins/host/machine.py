"""Who carries out what needs root: the helper's socket, or a helper that is started here."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.privileged.client import (
    HELPER_SOCKET,
    HelperRefused,
    ask_helper,
    exchange,
    has_helper,
)
from appliance.privileged.storage import STATE_FOLDER, WAITING, read_record

_ASK_SECONDS = 60.0
_COMMAND = (sys.executable, "-m", "appliance.privileged.helper")


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine, as far as the API may change it.

    Attributes
    ----------
    manage
        The setting `host.manage`.
    pending
        The file that is there while a change of the network is under way.
    """

    manage: bool = False
    helper_socket: Path = HELPER_SOCKET
    pending: Path = Path("/") / STATE_FOLDER / "pending"
    command: tuple[str, ...] = _COMMAND

    @property
    def is_managed(self) -> bool:
        """Whether there is anybody to ask."""
        return self.manage or has_helper(self.helper_socket)

    def can_act(self) -> bool:
        """Tell whether what is asked of the machine would be done."""
        try:
            self.require()
        except HelperRefused:
            return False
        return True

    def require(self) -> None:
        """Refuse when there is nobody who could do anything.

        Raises
        ------
        HelperRefused
            501.
        """
        if has_helper(self.helper_socket):
            return
        if not self.manage:
            raise HelperRefused(
                501, "This machine is not set up as an appliance, and host.manage is not true"
            )
        if os.geteuid() != 0:
            raise HelperRefused(501, "the API does not run as root, which host.manage needs")

    def ask(self, act: str, **values: str) -> dict[str, Any]:
        """Let it be done.

        Raises
        ------
        HelperRefused
            It was not done; 501: this machine is no appliance.
        """
        self.require()
        request = {"act": act, **values}
        if has_helper(self.helper_socket):
            return ask_helper(request, self.helper_socket)
        return self._ask_child(request)

    def change_waits(self) -> bool:
        """Tell whether a change of the network waits to be confirmed; asked at each request."""
        record = read_record(self.pending) if self.pending.exists() else None
        return record is not None and record.state == WAITING

    def _ask_child(self, request: Mapping[str, str]) -> dict[str, Any]:
        """Start a helper as systemd would; it outlives this process when it has to."""
        here, there = socket.socketpair()
        with here:
            with there:
                child = subprocess.Popen(self.command, stdin=there.fileno(), start_new_session=True)
            # A child that ends is a zombie until somebody waits for it.
            threading.Thread(target=child.wait, daemon=True).start()
            here.settimeout(_ASK_SECONDS)
            return exchange(here, request)
