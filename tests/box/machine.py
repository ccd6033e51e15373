"""What a test can do with a box, whatever it runs in: log in, copy files, restart, switch off."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from tests.box.networks import MANAGEMENT_BOX, Networks
from tests.box.processes import SECONDS, Failed, attempt, eventually, run, started, stopped
from tests.box.tree import USER


class Machine:
    """A system that boots, boots again when it wants to, and ends when it switches itself off.

    Attributes
    ----------
    folder
        Of this machine alone; its files and its console are there.
    ended_with
        The exit status of its last run, None while it runs.
    """

    def __init__(self, folder: Path, networks: Networks, key: Path) -> None:
        self.folder, self.networks, self.key = folder, networks, key
        self.ended_with: int | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.stopping = False
        self._thread = threading.Thread(target=self._live, daemon=True)

    def command(self) -> Sequence[str]:
        """Return what runs it."""
        raise NotImplementedError

    def boots_again(self, status: int) -> bool:
        """Tell whether it ended only to boot again."""
        raise NotImplementedError

    def press_power_button(self) -> None:
        """Let it switch itself off."""
        raise NotImplementedError

    def start(self) -> None:
        """Boot, and wait until one can log in."""
        self._thread.start()
        self.wait_reachable()

    def stop(self) -> None:
        """Switch off, with force where it does not obey, and leave nothing behind."""
        self.stopping = True
        if self.process is not None and self.process.poll() is None:
            self.press_power_button()
        self._thread.join(SECONDS)
        if self._thread.is_alive() and self.process is not None:
            self.kill()
            self._thread.join(10)

    def kill(self) -> None:
        """Take the power away."""
        if self.process is not None:
            stopped(self.process)

    def wait_reachable(self) -> None:
        """Wait until SSH answers."""
        eventually(lambda: self.attempt("true").returncode == 0, "reachable by SSH")

    def mark_boot(self) -> None:
        """Make `wait_rebooted` know this boot."""
        self.run("touch /run/before-reboot")

    def wait_rebooted(self) -> None:
        """Wait until it is up again after `mark_boot`."""
        gone = "test -e /run/systemd/system && test ! -e /run/before-reboot"
        eventually(lambda: self.attempt(gone).returncode == 0, "rebooted")

    def wait_powered_off(self, seconds: float = SECONDS) -> int:
        """Wait until it is off; return the status that it ended with."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"still running after {seconds:.0f} s"
        assert self.ended_with is not None
        return self.ended_with

    def run(self, command: str, seconds: float = SECONDS) -> str:
        """Run a shell command as root; it must succeed."""
        done = self.attempt(command, seconds)
        if done.returncode:
            raise Failed(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def attempt(self, command: str, seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root that may fail."""
        remote = f"sudo sh -c {shlex.quote(command)}"
        return attempt(self.remote(remote), seconds)

    def remote(self, *words: str) -> list[str]:
        """Return the command that runs a command there; more words may follow."""
        return self.networks.in_lan([*self._ssh(), *words])

    def fetch(self, path: str, to: Path) -> None:
        """Copy a file out of it."""
        with to.open("wb") as output:
            command = self.remote(f"sudo cat {path}")
            subprocess.run(command, stdout=output, timeout=SECONDS, check=True)

    def put(self, source: Path | str, path: str) -> None:
        """Copy a file, or write a text, into it."""
        octets = source.encode() if isinstance(source, str) else source.read_bytes()
        command = self.remote(f"sudo tee {path} >/dev/null")
        subprocess.run(command, input=octets, timeout=SECONDS, check=True)

    def curl(self, *arguments: str, seconds: float = SECONDS) -> str:
        """Ask from the tester's network; any HTTP status is an answer."""
        options = ["--silent", "--show-error", "--max-time", str(int(seconds))]
        return run(self.networks.in_lan(["curl", *options, *arguments]), seconds + 5)

    def cut(self) -> None:
        """Take its way out away: it has only the tester for a neighbour."""
        self.networks.cut()

    def lead_out(self) -> None:
        """Let it reach what this machine reaches."""
        self.networks.lead_out()

    def _ssh(self) -> list[str]:
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
        quick = ("ConnectTimeout=5", "BatchMode=yes")
        words = [f"-o{option}" for option in (*options, *quick)]
        return ["ssh", "-i", str(self.key), *words, f"{USER}@{MANAGEMENT_BOX}"]

    def _live(self) -> None:
        while True:
            self.process = started(self.command(), self.folder / "console.log", env=_PLAIN)
            status = self.process.wait()
            if self.stopping or not self.boots_again(status):
                break
        self.ended_with = status


_PLAIN = {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"}
