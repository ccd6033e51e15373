"""Makes the bundles that boxes install: tar files with the project's wheel and all that it needs.

The box needs no package index then. Every wheel is one of those whose hash requirements.lock has;
`requirements.txt` beside them says so once more, for pip on the box. Run by `make bundle` in the
virtual environment of the project; there is a bundle for each Python of a box, whatever runs this.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.13")
"""Those of Debian 12 and 13."""

PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
BUILT_FROM = ("appliance", "pyproject.toml", "setup.py", "README.md", "LICENSE")
WHEEL = "netflow_appliance"
SAME_TIME = {"SOURCE_DATE_EPOCH": "315532800"}
"""1980, the first year of zip: the wheel of the same source is the same, and so is the bundle."""
WITHOUT_KERNELS = {"APPLIANCE_NATIVE": "0"}

_PINNED = re.compile(r"^([A-Za-z0-9_.-]+==\S+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def main() -> None:
    """Read the command line and make a bundle for each Python."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the bundles go")
    parser.add_argument("--source", type=Path, default=ROOT, help="the project's folder")
    parser.add_argument("--architecture", default="x86_64", help="of the box: x86_64 or aarch64")
    parser.add_argument(
        "--python",
        action="append",
        type=python_version,
        metavar="3.N",
        help=f"of the box; may be repeated (default: {' and '.join(PYTHONS)}, of Debian 12 and 13)",
    )
    arguments = parser.parse_args()
    for python in arguments.python or PYTHONS:
        with tempfile.TemporaryDirectory() as wheels:
            fill(Path(wheels), arguments.source, arguments.architecture, python)
            print(packed(Path(wheels), arguments.folder, arguments.architecture, python))


def python_version(text: str) -> str:
    """Return a version such as 3.13; anything else is refused by argparse."""
    if not re.fullmatch(r"3\.[0-9]{1,2}", text):
        raise argparse.ArgumentTypeError(f"expected a version such as {PYTHONS[-1]}, found {text}")
    return text


def fill(wheels: Path, source: Path, architecture: str, python: str) -> None:
    """Build the project's wheel, fetch the others, and check each against the lock file."""
    lock = (source / "requirements.lock").read_text()
    own = built(wheels, source, architecture)
    fetch(own, wheels, lock, architecture, python)
    known = set(_HASH.findall(lock)) | {digest(own)}
    found = sorted(wheels.glob("*.whl"))
    strange = [wheel.name for wheel in found if digest(wheel) not in known]
    if strange:
        sys.exit(f"not in requirements.lock: {', '.join(strange)}")
    lines = [f"{requirement(wheel)} --hash=sha256:{digest(wheel)}" for wheel in found]
    (wheels / "requirements.txt").write_text("\n".join([*lines, ""]))


def packed(wheels: Path, folder: Path, architecture: str, python: str) -> Path:
    """Write the bundle, whose name tells version and Python; it appears when it is complete."""
    own = next(wheels.glob(f"{WHEEL}-*.whl"))
    version = own.name.split("-")[1]
    folder.mkdir(parents=True, exist_ok=True)
    tag = f"cp{python.replace('.', '')}"
    bundle = folder / f"netflow-appliance-{version}-{tag}-{architecture}.tar"
    beside = bundle.with_suffix(".partial")
    with tarfile.open(beside, "w") as archive:
        for file in sorted(wheels.iterdir()):
            archive.add(file, file.name, filter=_of_nobody)
    return beside.rename(bundle)


def built(wheels: Path, source: Path, architecture: str) -> Path:
    """Build the project's wheel from a copy, since building leaves files in the source.

    The kernels in C are in it where they can be compiled for the architecture: on a machine like
    that, with a C compiler.
    """
    is_like_here = architecture == platform.machine()
    with tempfile.TemporaryDirectory() as copy:
        for name in BUILT_FROM:
            is_folder = (source / name).is_dir()
            (shutil.copytree if is_folder else shutil.copy)(source / name, Path(copy) / name)
        options = ["--no-deps", "--no-build-isolation", "--wheel-dir", wheels]
        pip("wheel", *options, copy, **({} if is_like_here else WITHOUT_KERNELS))
    wheel = next(wheels.glob(f"{WHEEL}-*.whl"))
    if not has_kernels(wheel):
        print(f"{wheel.name}: no kernels in C, numpy does their work", file=sys.stderr)
    return wheel


def has_kernels(wheel: Path) -> bool:
    """Tell whether the project's wheel has the kernels in C, and so is for one processor."""
    return not wheel.name.endswith("-any.whl")


def fetch(own: Path, wheels: Path, lock: str, architecture: str, python: str) -> None:
    """Download what the project's wheel requires, in the locked versions."""
    platforms = [f"--platform={platform}_{architecture}" for platform in PLATFORMS]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(_PINNED.findall(lock)))
        constraints.flush()
        options = ["--dest", wheels, "--only-binary=:all:", f"--python-version={python}"]
        pip("download", *options, *platforms, "--constraint", constraints.name, own)


def pip(*arguments: str | Path, **variables: str) -> None:
    """Run pip of this environment, with more variables in its own."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    own = os.environ | SAME_TIME | variables
    subprocess.run([*command, *map(str, arguments)], check=True, env=own)


def requirement(wheel: Path) -> str:
    """Return `name==version` of a wheel, from its file name."""
    name, version, *_ = wheel.name.split("-")
    return f"{name}=={version}"


def digest(file: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _of_nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out what differs between two bundles of the same wheels."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main()
