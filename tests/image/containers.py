"""podman with a store of the test's own, and one container of the image."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

SECONDS = 120.0
IMAGE = "localhost/netflow-appliance"
DATA = "/var/lib/netflow-appliance"
WITHOUT_HYBRID = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec podman "$@"'
"""crun refuses machines that have control groups of both versions, so that it sees one of them."""


def missing() -> str:
    """Return why no image can be made and run here; empty when it can."""
    if os.geteuid() != 0:
        return "an image is run by root only: run the tests as root, as in `sudo make test`"
    absent = [name for name in ("mmdebstrap", "podman", "dpkg") if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)} (`make test` does that on Debian)" if absent else ""


class Podman:
    """Runs podman on images and containers below a folder; of others it knows nothing."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        # podman takes no runroot of more than 50 letters.
        self._runroot = tempfile.TemporaryDirectory(prefix="podman-", dir="/tmp")
        self._options = ["--root", folder / "storage", "--runroot", self._runroot.name]
        self._options += ["--tmpdir", folder / "tmp", "--storage-driver", "vfs"]
        self._options += ["--cgroup-manager", "cgroupfs", "--events-backend", "file"]

    def run(self, *arguments: str | Path, seconds: float = SECONDS) -> str:
        """Run a command of podman and return its output."""
        done = self.attempt(*arguments, seconds=seconds)
        said = f"podman {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, said
        return done.stdout

    def attempt(
        self, *arguments: str | Path, seconds: float = SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail."""
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", WITHOUT_HYBRID]
        return subprocess.run(
            [*command, "podman", *map(str, [*self._options, *arguments])],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def cannot_run(self) -> str:
        """Return why this machine's kernel runs no container; empty when it does."""
        nothing = ["--network", "none", "--cgroups", "disabled", "--entrypoint", "/bin/true"]
        done = self.attempt("run", "--rm", *nothing, *_limits(), IMAGE)
        return f"podman runs no container here: {done.stderr}" if done.returncode else ""

    def close(self) -> None:
        """Leave nothing that runs, nor two gigabytes of files."""
        self.attempt("rm", "--all", "--force", "--time", "0")
        self._runroot.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


class Container:
    """A container of the image as the manual starts it, but in a network of its own."""

    def __init__(self, podman: Podman, volume: str) -> None:
        self.podman, self.name = podman, "netflow"
        start = ["run", "--detach", "--name", self.name, "--network", "none", "--read-only"]
        # Not even a tmpfs on /tmp, which docker does not make.
        start += ["--read-only-tmpfs=false", "--cap-drop", "all", "--cgroups", "disabled"]
        start += ["--security-opt", "no-new-privileges", "--volume", f"{volume}:{DATA}"]
        # Without systemd nobody would ask regularly; the tests do.
        start += ["--health-interval", "disable"]
        podman.run(*start, *_limits(), IMAGE)

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        return self.podman.attempt("exec", self.name, *command)

    def appliance(self, *arguments: str) -> str:
        """Run the appliance's command in it and return its output."""
        done = self.execute("appliance", *arguments)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
        return done.stdout

    def log(self) -> str:
        """Return what it printed, on both outputs."""
        done = self.podman.attempt("logs", self.name)
        return done.stdout + done.stderr

    def facts(self) -> dict[str, Any]:
        """Return what podman knows of it."""
        (facts,) = json.loads(self.podman.run("inspect", self.name))
        return dict(facts)

    def wait_healthy(self) -> None:
        """Wait until the health check of its image says so."""
        self.wait_until(
            lambda: self.podman.attempt("healthcheck", "run", self.name).returncode == 0, "healthy"
        )

    def wait_until(self, condition: Callable[[], Any], what: str) -> None:
        """Ask again and again until the answer is true."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"not {what}:\n{self.log()}"
            time.sleep(0.5)

    def stop(self) -> int:
        """Stop it as podman does, within a minute; return its exit code."""
        self.podman.run("stop", "--time", "60", self.name)
        return int(self.facts()["State"]["ExitCode"])

    def remove(self) -> None:
        """Remove it; the volume stays."""
        self.podman.run("rm", "--force", "--time", "0", self.name)


class Process(NamedTuple):
    """A process in a container, with the words of its command line."""

    pid: int
    parent: int
    state: str
    words: list[str]


def processes(container: Container) -> list[Process]:
    """Return all processes in a container."""
    script = (
        "import json, pathlib\n"
        "for stat in pathlib.Path('/proc').glob('[0-9]*/stat'):\n"
        "    try: text = stat.read_text(); line = stat.with_name('cmdline').read_text()\n"
        "    except OSError: continue\n"
        "    state, parent = text.rpartition(')')[2].split()[:2]\n"
        "    words = line.replace(chr(0), ' ').split()  # a copy's are one string\n"
        "    print(json.dumps([int(text.split()[0]), int(parent), state, words]))\n"
    )
    done = container.execute("python3", "-c", script)
    return [Process(*json.loads(line)) for line in done.stdout.splitlines()]


def _limits() -> list[str]:
    """Return options by which no limit is above this process's own, which podman's defaults are."""
    options = []
    for name, number in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        _, hard = resource.getrlimit(number)
        most = 16384 if hard == resource.RLIM_INFINITY else min(hard, 16384)
        options += ["--ulimit", f"{name}={most}:{most}"]
    return options
