"""Makes each file of a release, all of the same wheels."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import bundle
from debian.bill_of_materials import bill_of_wheels
from debian.building import fill_wheels

from release.source_distribution import make_source_distribution

SUMS = "SHA256SUMS"
BESIDE = Path(__file__).resolve().parents[1]


def make_release(folder: Path, source: Path) -> None:
    """Make all files in an empty folder, and their digests last.

    Raises
    ------
    SystemExit, subprocess.CalledProcessError
        One of them cannot be made; it has said why.
    """
    wheels = folder / "wheels"
    fill_wheels(wheels, source, None)
    shutil.copy(next(wheels.glob(f"{bundle.WHEEL}-*.whl")), folder)
    packed = bundle.packed(wheels, folder, platform.machine())
    packed.with_suffix(".cdx.json").write_text(bill_of_wheels(wheels))
    shutil.rmtree(wheels)
    make_source_distribution(folder, source)
    for part in ("debian", "image"):
        command = [sys.executable, "-m", part, folder, "--source", source, "--bundle", packed]
        subprocess.run([*map(str, command)], cwd=BESIDE, check=True, stdout=subprocess.DEVNULL)
    (folder / SUMS).write_text(digests(folder))


def digests(folder: Path) -> str:
    """Return a line for each file, as `sha256sum --check` reads it."""
    lines = [f"{bundle.digest(file)}  {file.name}\n" for file in sorted(folder.iterdir())]
    return "".join(lines)
