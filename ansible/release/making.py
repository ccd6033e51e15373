"""Makes each file of a release, all of the same wheels."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import bundle
from debian.bill_of_materials import bill_of_wheels
from debian.building import BuildError, fill_wheels
from debian.environment import PYTHON

from release.source_distribution import make_source_distribution

SUMS = "SHA256SUMS"
BESIDE = Path(__file__).resolve().parents[1]


def make_release(folder: Path, source: Path) -> None:
    """Make all files in an empty folder, and their digests last.

    Raises
    ------
    BuildError
        Ours cannot be made as it is to be.
    SystemExit, subprocess.CalledProcessError
        One of them cannot be made; it has said why.
    """
    for packed in make_bundles(folder, source):
        with tempfile.TemporaryDirectory() as scratch:
            wheels = Path(scratch, "wheels")
            fill_wheels(wheels, source, packed)
            packed.with_suffix(".cdx.json").write_text(bill_of_wheels(wheels))
            # Ours is the same for each Python.
            shutil.copy(own_wheel(wheels), folder)
        if is_for_this_python(packed):
            options = ["--source", source, "--bundle", packed]
            run("-m", "debian", folder, *options)
            run("-m", "image", folder, *options)
    make_source_distribution(folder, source)
    (folder / SUMS).write_text(digests(folder))


def own_wheel(wheels: Path) -> Path:
    """Return the project's wheel of a filled bundle.

    Raises
    ------
    BuildError
        It lacks the kernels in C, which who installs a release would miss unawares.
    """
    wheel = next(wheels.glob(f"{bundle.WHEEL}-*.whl"))
    if not bundle.has_kernels(wheel):
        raise BuildError("expected a C compiler that works: apt-get install gcc libc6-dev")
    return wheel


def make_bundles(folder: Path, source: Path) -> list[Path]:
    """Make what `make bundle` makes, for the processor of this machine."""
    run("bundle.py", folder, "--source", source, "--architecture", platform.machine())
    return sorted(folder.glob("netflow-appliance-*.tar"))


def is_for_this_python(packed: Path) -> bool:
    """Tell whether package and image of this machine can be made of a bundle."""
    return f"-{PYTHON.replace('python3.', 'cp3')}-" in packed.name


def run(*arguments: str | Path) -> None:
    """Run one of the programs beside the playbook."""
    command = [sys.executable, *map(str, arguments)]
    subprocess.run(command, cwd=BESIDE, check=True, stdout=subprocess.DEVNULL)


def digests(folder: Path) -> str:
    """Return a line for each file, as `sha256sum --check` reads it."""
    lines = [f"{bundle.digest(file)}  {file.name}\n" for file in sorted(folder.iterdir())]
    return "".join(lines)
