"""What making a package and an image have in common: where they are made, of what, and of when."""

from __future__ import annotations

import os
import platform
import subprocess
import tarfile
from pathlib import Path

import bundle

from debian.environment import INTERPRETER, PYTHON


class BuildError(Exception):
    """Nothing can be made here; the text says what is missing."""


def require_debian() -> None:
    """Look for the release whose Python the environment is made with.

    Raises
    ------
    BuildError
        This is no Debian, or one without Python.
    """
    try:
        is_debian = platform.freedesktop_os_release().get("ID") == "debian"
    except OSError:
        is_debian = False
    if not is_debian:
        raise BuildError("expected Debian, whose Python is used")
    if not INTERPRETER.is_file():
        raise BuildError("there is no /usr/bin/python3: apt-get install python3")


def commit_time(source: Path) -> int:
    """Return the time of all that is packed: SOURCE_DATE_EPOCH, else the last commit's.

    Raises
    ------
    BuildError
        There is neither.
    """
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(epoch)
    command = ["git", "-C", str(source), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError("expected a git checkout, or a time in SOURCE_DATE_EPOCH")
    return int(done.stdout)


def fill_wheels(wheels: Path, source: Path, packed: Path | None) -> None:
    """Fill a new folder with wheels and `requirements.txt`: of a bundle, else fetched ones."""
    wheels.mkdir()
    if packed is None:
        python = PYTHON.removeprefix("python")
        bundle.fill(wheels, source, platform.machine(), python)
        return
    with tarfile.open(packed) as archive:
        archive.extractall(wheels, filter="data")
