"""Makes the Debian package of a release: here where this machine has it, else in a tree of it.

`make deb` makes the package for where it runs. The tree has of Debian what it needs for that, and
sees the checkout read-only.
"""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

from tests.box.deployment import ANSIBLE, PLAYBOOK_SECONDS, ROOT
from tests.box.machine import Machine
from tests.box.processes import run
from tests.box.releases import Release
from tests.box.tree import bare_archive, extract, inside

BUILD_PACKAGES = ("python3-jinja2", "python3-pip", "python3-yaml")
APT = "DEBIAN_FRONTEND=noninteractive apt-get -y"


def install_package(machine: Machine, package: Path) -> str:
    """Install a package on a machine by apt; return what that printed."""
    # The machine is thrown away: dpkg need not wait for the disk after each of 7000 files.
    machine.run("echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/test")
    machine.put(package, "/root/netflow-appliance.deb")
    return machine.run(f"cd /root && {APT} install ./netflow-appliance.deb 2>&1", 600)


def built_package(folder: Path, cache: Path, release: Release, bundle: Path) -> Path:
    """Make the package of a bundle, without the compression, which takes long; return it."""
    folder.mkdir(exist_ok=True)
    options = ["-m", "debian", folder / "deb", "--compression", "none", "--bundle", bundle]
    epoch = f"SOURCE_DATE_EPOCH={int((ROOT / 'CHANGELOG.md').stat().st_mtime)}"
    if platform.freedesktop_os_release().get("VERSION_ID") == release.number:
        command = ["env", epoch, sys.executable, *options]
        run(command, PLAYBOOK_SECONDS, cwd=ANSIBLE)
    else:
        tree = folder / "build-tree"
        extract(bare_archive(cache, release, BUILD_PACKAGES), tree)
        # Places have the same names there as here.
        binds = [f"--bind-ro={ROOT}", f"--bind={folder}", f"--bind-ro={bundle.parent}"]
        variables = [f"--setenv={each}" for each in (epoch, "PYTHONDONTWRITEBYTECODE=1")]
        command = inside(tree, *binds, *variables, f"--chdir={ANSIBLE}")
        run([*command, "python3", *options], PLAYBOOK_SECONDS)
        shutil.rmtree(tree)
    return next((folder / "deb").glob("*.deb"))
