"""Makes the source distribution (sdist): as setuptools does, but the same octets each time."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import bundle

_BUILD = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"


def make_source_distribution(folder: Path, source: Path) -> Path:
    """Make it of a copy, since building leaves files in the source; return its file."""
    with tempfile.TemporaryDirectory() as scratch:
        copy, made = Path(scratch, "source"), Path(scratch, "made")
        copy.mkdir()
        for name in bundle.BUILT_FROM:
            is_folder = (source / name).is_dir()
            (shutil.copytree if is_folder else shutil.copy)(source / name, copy / name)
        command = [sys.executable, "-c", _BUILD, str(made)]
        subprocess.run(command, cwd=copy, check=True, stdout=subprocess.DEVNULL)
        (file,) = made.iterdir()
        return _same_each_time(file, folder / file.name)


def _same_each_time(file: Path, target: Path) -> Path:
    """Write the archive anew, sorted, with one time, one owner and usual modes."""
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    with (
        tarfile.open(file) as before,
        gzip.GzipFile(target, "wb", 9, mtime=epoch) as output,
        tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as after,
    ):
        for entry in sorted(before, key=lambda each: each.name):
            entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = epoch, 0, 0, "", ""
            entry.mode = 0o755 if entry.isdir() else 0o644
            entry.pax_headers = {}
            after.addfile(entry, before.extractfile(entry) if entry.isreg() else None)
    return target
