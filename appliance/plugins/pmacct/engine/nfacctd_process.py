"""The engine `nfacctd`: pmacct's own daemon, run with the collector configuration in force."""

from __future__ import annotations

import collections
import logging
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from appliance.errors import ApplianceError, SettingsError, StartupError
from appliance.plugins.pmacct.configuration.editing import edit_config
from appliance.plugins.pmacct.configuration.effective import DEFAULT_PORT, EffectiveConfig
from appliance.plugins.pmacct.engine import endless_loop
from appliance.plugins.pmacct.engine.endless_loop import EndlessLoopWatch
from appliance.plugins.pmacct.engine.receive_queue import ReceiveQueueWatch
from appliance.processes.parent import environment_of_child

RUNNABLE = "nfacctd.conf"
START_SECONDS = 20.0
STOP_SECONDS = 25.0
_POLL_SECONDS = 0.1
_REMEMBERED_LINES = 20
_PATHS = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin"
_SEVERE = re.compile(r"\b(ERROR|WARN)\b")

log = logging.getLogger("nfacctd")


class NfacctdProcess:
    """One nfacctd in the foreground, which ends with this process whatever this dies of.

    Parameters
    ----------
    config
        What it is run with; relative paths in it start at its folder.
    data
        Where the file lies that it reads: a copy that never becomes a daemon.
    """

    def __init__(self, config: EffectiveConfig, data: Path) -> None:
        self._config, self._file = config, data / RUNNABLE
        self._process: subprocess.Popen[str] | None = None
        self._watch: EndlessLoopWatch | None = None
        self._queue: ReceiveQueueWatch | None = None
        self._said: collections.deque[str] = collections.deque(maxlen=_REMEMBERED_LINES)
        self._last = ""

    def start(self) -> None:
        """Start it and wait until it receives.

        Raises
        ------
        StartupError, SettingsError
            It is not installed, or ended; the text says why, in its words.
        """
        self._write_configuration()
        try:
            self._process = subprocess.Popen(
                [*_ends_with_us(), nfacctd_program(), "-f", str(self._file)],
                cwd=self._config.path.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=environment_of_child(),
            )
        except OSError as error:
            raise StartupError(f"nfacctd cannot be run: {error.strerror}") from error
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        self._wait_ready(self._process)
        self._watch = EndlessLoopWatch(self._process.pid)
        port = self._config.number("nfacctd_port", default=DEFAULT_PORT)
        self._queue = ReceiveQueueWatch(self._process.pid, port)

    def check(self) -> None:
        """Look whether it still runs.

        Raises
        ------
        ApplianceError
            It ended by itself, or takes nothing any more and was ended.
        """
        if self._process is None:
            return
        if self._process.poll() is not None:
            raise ApplianceError(self._reason(self._process.returncode))
        problem = ""
        if self._watch is not None and self._watch.is_endless():
            problem = "took no datagram and only computed"
        elif self._queue is not None and self._queue.is_stuck():
            problem = "took none of the datagrams that wait for it"
        if problem:
            self._process.kill()
            seconds = f"{endless_loop.ENDLESS_SECONDS:.0f} seconds"
            raise ApplianceError(f"nfacctd {problem} for {seconds}: it was ended")

    def stop(self) -> None:
        """Let it write what it has, and end."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("nfacctd did not stop within %.0f seconds", STOP_SECONDS)
            process.kill()
            process.wait()
        _, left = psutil.wait_procs(family, STOP_SECONDS)
        _kill(left)

    def _write_configuration(self) -> None:
        text = edit_config(self._config.config, {"daemonize": "false"})
        self._file.unlink(missing_ok=True)
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))

    def _listen(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is None:
            return
        with process.stdout as lines:
            for line in lines:
                text = line.strip()
                severe = _SEVERE.search(text)
                self._last = text or self._last
                if severe:
                    self._said.append(text)
                log.log(logging.WARNING if severe else logging.DEBUG, "%s", text)

    def _wait_ready(self, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _receives(process.pid):
            if process.poll() is not None:
                # Its last words may still be on their way.
                time.sleep(_POLL_SECONDS)
                raise StartupError(self._reason(process.returncode))
            if time.monotonic() > deadline:
                self.stop()
                raise StartupError(f"nfacctd does not listen after {START_SECONDS:.0f} seconds")
            time.sleep(_POLL_SECONDS)

    def _reason(self, code: int) -> str:
        errors = [text for text in self._said if "ERROR" in text] or [*self._said]
        said = errors[-1] if errors else self._last
        return f"nfacctd: {said}" if said else f"nfacctd ended with {code}"


def _receives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).net_connections("udp"))
    except psutil.Error:
        return False


def nfacctd_program() -> str:
    """Return where nfacctd is.

    Raises
    ------
    SettingsError
        It is not installed.
    """
    found = shutil.which("nfacctd", path=_PATHS)
    if found is None:
        raise SettingsError(
            "nfacctd is not installed: apt-get install pmacct", key="collector.engine"
        )
    return found


def _ends_with_us() -> list[str]:
    """Return words before a command: the kernel stops it when this process is killed."""
    setpriv = shutil.which("setpriv", path=_PATHS)
    return [setpriv, "--pdeathsig", "INT", "--"] if setpriv else []


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
