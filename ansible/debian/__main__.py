"""Makes the Debian package of the appliance, for the release and the processor of this machine.

Run by `make deb`, in the virtual environment of the project and in the folder of Ansible. Two runs
of the same commit make the same octets: times are the commit's, and nothing names a folder of the
machine that builds.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import bundle

from debian import packing
from debian.contents import fill_tree
from debian.environment import INTERPRETER, PYTHON

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Read the command line and make the package."""
    parser = argparse.ArgumentParser(prog="make deb", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the package goes")
    parser.add_argument("--source", type=Path, default=ROOT, help="the project's folder")
    parser.add_argument("--bundle", type=Path, help="of `make bundle`; else its wheels are fetched")
    parser.add_argument("--compression", default="xz", help="xz, zstd or none, which is quick")
    arguments = parser.parse_args()
    if problem := unfit():
        sys.exit(f"make deb: {problem}")
    epoch = epoch_of(arguments.source)
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch)
    # What is packed may be read by everybody, whoever builds.
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as scratch:
        wheels, tree = Path(scratch, "wheels"), Path(scratch, "tree")
        wheels.mkdir()
        if arguments.bundle:
            with tarfile.open(arguments.bundle) as archive:
                archive.extractall(wheels, filter="data")
        else:
            python = PYTHON.removeprefix("python")
            bundle.fill(wheels, arguments.source, platform.machine(), python)
        package = packing.Package.of(next(wheels.glob(f"{bundle.WHEEL}-*.whl")), epoch)
        fill_tree(tree, wheels, arguments.source, package)
        print(packing.pack(tree, arguments.folder, package, arguments.compression))


def unfit() -> str:
    """Say why no package can be made here; empty where one can."""
    try:
        if platform.freedesktop_os_release().get("ID") != "debian":
            return "expected Debian, whose Python the package uses"
    except OSError:
        return "expected Debian, whose Python the package uses"
    if not INTERPRETER.is_file():
        return "there is no /usr/bin/python3: apt-get install python3"
    return ""


def epoch_of(source: Path) -> int:
    """Return the time of everything in the package: SOURCE_DATE_EPOCH, else the last commit's."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    command = ["git", "-C", str(source), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit("make deb: expected a git checkout, or a time in SOURCE_DATE_EPOCH")
    return int(done.stdout)


if __name__ == "__main__":
    main()
