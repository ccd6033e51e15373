"""Makes the Debian package of a release: here where this machine has it, else in a tree of it.

`make deb` makes the package for where it runs. The tree has of Debian what it needs for that, and
sees the checkout read-only.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from tests.box.deployment import ANSIBLE, PLAYBOOK_SECONDS, ROOT
from tests.box.processes import run
from tests.box.releases import Release
from tests.box.tree import bare_archive

BUILD_PACKAGES = ("python3-jinja2", "python3-pip", "python3-yaml")


def built_package(folder: Path, cache: Path, release: Release, bundle: Path) -> Path:
    """Make the package of a bundle, without the compression, which takes long; return it."""
    options = ["-m", "debian", folder / "deb", "--compression", "none", "--bundle", bundle]
    epoch = f"SOURCE_DATE_EPOCH={int((ROOT / 'CHANGELOG.md').stat().st_mtime)}"
    if platform.freedesktop_os_release().get("VERSION_ID") == release.number:
        command = ["env", epoch, sys.executable, *options]
        run(command, PLAYBOOK_SECONDS, cwd=ANSIBLE)
    else:
        tree = folder / "build-tree"
        tree.mkdir()
        archive = bare_archive(cache, release, BUILD_PACKAGES)
        run(["tar", "--extract", "--numeric-owner", "--xattrs", "-C", tree, "-f", archive])
        run([*_inside(tree, folder, epoch), "python3", *options], PLAYBOOK_SECONDS)
        shutil.rmtree(tree)
    return next((folder / "deb").glob("*.deb"))


def _inside(tree: Path, folder: Path, *variables: str) -> list[str | Path]:
    """Return what runs a command in the tree, in Ansible's folder; places have the same names."""
    options = ["--quiet", f"--directory={tree}", f"--machine=build-{os.getpid()}", "--pipe"]
    options += ["--register=no", "--keep-unit", "--resolv-conf=off", "--timezone=off"]
    options += [f"--bind-ro={ROOT}", f"--bind={folder}", f"--chdir={ANSIBLE}"]
    options += [f"--setenv={each}" for each in (*variables, "PYTHONDONTWRITEBYTECODE=1")]
    return ["systemd-nspawn", *options]
