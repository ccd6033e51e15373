"""Puts into a tree what the package installs: environment, units, command, pages, documents."""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from debian.bill_of_materials import bill_of_wheels
from debian.environment import PYTHON, make_environment, run, set_times
from debian.packing import NAME, Package, checksums, installed_kib
from debian.rendering import render, role_file, variables

FILES = Path(__file__).parent / "files"
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
PLACE = "versions/deb"
"""Below the appliance's home; `current` points to it, as it does to the version of a playbook."""


def fill_tree(tree: Path, wheels: Path, source: Path, package: Package) -> None:
    """Fill a tree that does not exist yet, but for the control files.

    Parameters
    ----------
    wheels
        A filled bundle: wheels and `requirements.txt`.
    source
        The project's folder, for its change log.
    """
    values = variables()
    home = Path(values["base_home"], PLACE)
    made = make_environment(tree, home, wheels, package.epoch)
    write(made / ".package", f"{NAME} {package.version}\n")
    link = made.parents[1] / "current"
    link.symlink_to(PLACE)
    write_system_files(tree, values)
    write_documents(tree / "usr/share", made, source, package)
    write(tree / "usr/share/doc" / NAME / "sbom.cdx.json", bill_of_wheels(wheels))
    write_control(tree, values, package)
    set_times(tree, package.epoch)


def write_system_files(tree: Path, values: Mapping[str, Any]) -> None:
    """Write what systemd, shells and administrators read; what Ansible writes too is its."""
    for unit in values["appliance_units"]:
        text = role_file("appliance", unit, values)
        write(tree / "usr/lib/systemd/system" / unit, text)
    tmpfiles = role_file("appliance", "tmpfiles.conf", values)
    write(tree / f"usr/lib/tmpfiles.d/{NAME}.conf", tmpfiles)
    write(tree / f"usr/lib/sysctl.d/60-{NAME}.conf", role_file("base", "sysctl.conf", values))
    write(tree / f"usr/lib/sysusers.d/{NAME}.conf", (FILES / "sysusers.conf").read_text())
    write(tree / "usr/bin/appliance", role_file("appliance", "appliance.sh", values), 0o755)
    settings = tree / values["base_configuration"].lstrip("/") / "appliance.yml"
    write(settings, (FILES / "appliance.yml").read_text(), 0o640)
    settings.parent.chmod(0o750)


def write_documents(share: Path, made: Path, source: Path, package: Package) -> None:
    """Write manual pages, completion, change logs and the licence."""
    settings = share / "appliance.yml"
    write(settings, "")
    # Neither a configuration of this machine nor one in the present folder is the package's.
    run_inside(made, "manpages.py", share, APPLIANCE_CONF=str(share))
    settings.unlink()
    folder = share / "doc" / NAME
    write(folder / "copyright", (FILES / "copyright").read_text())
    compressed(folder / "changelog.gz", (source / "CHANGELOG.md").read_bytes())
    compressed(folder / "changelog.Debian.gz", package.changelog().encode())
    overrides = share / "lintian/overrides" / NAME
    write(overrides, (FILES / "lintian-overrides").read_text())


def run_inside(made: Path, script: str, *arguments: Path, **variables: str) -> None:
    """Run a script of this folder in the environment that is packed, which it must not change."""
    variables["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [made / "bin" / PYTHON, Path(__file__).with_name(script), *arguments]
    run(*command, env=os.environ | variables)


def write_control(tree: Path, values: Mapping[str, Any], package: Package) -> None:
    """Write the maintainer scripts and the facts that dpkg reads."""
    control = tree / "DEBIAN"
    for name in SCRIPTS:
        write(control / name, render((FILES / f"{name}.j2").read_text(), values), 0o755)
    write(control / "conffiles", f"{values['base_configuration']}/appliance.yml\n")
    write(control / "md5sums", checksums(tree))
    write(control / "control", package.control(installed_kib(tree)))


def write(file: Path, text: str, mode: int = 0o644) -> None:
    """Write a file with its folders."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


def compressed(file: Path, octets: bytes) -> None:
    """Write octets as gzip, the same each time."""
    file.write_bytes(gzip.compress(octets, 9, mtime=0))
