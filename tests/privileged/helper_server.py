"""A helper that listens on a socket, as systemd would for it, on a root folder of a test."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

from appliance.privileged.helper import Helper
from tests.privileged.scripted import ScriptedRoot


class HelperServer:
    """Serves each connection in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.scripted = ScriptedRoot(folder / "root")
        self.path = folder / "helper.sock"
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.path))
        self._listening.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)

    def wait(self) -> None:
        """Wait until everything that was asked for is done."""
        for thread in self._threads[1:]:
            thread.join(20)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            helper = Helper({os.geteuid()}, self.scripted.root, kernel=self.scripted.kernel)
            thread = threading.Thread(target=helper.serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()
