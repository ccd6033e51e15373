"""Makes the Debian package of the appliance, for the release and the processor of this machine.

Run by `make deb`, in the virtual environment of the project and in the folder of Ansible. Two runs
of the same commit make the same octets: times are the commit's, and nothing names a folder of the
machine that builds.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import bundle

from debian import packing
from debian.building import BuildError, commit_time, fill_wheels, require_debian
from debian.contents import fill_tree

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Read the command line and make the package."""
    parser = argparse.ArgumentParser(prog="make deb", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the package goes")
    parser.add_argument("--source", type=Path, default=ROOT, help="the project's folder")
    parser.add_argument("--bundle", type=Path, help="of `make bundle`; else its wheels are fetched")
    parser.add_argument("--compression", default="xz", help="xz, zstd or none, which is quick")
    arguments = parser.parse_args()
    try:
        print(make_package(arguments))
    except BuildError as error:
        sys.exit(f"make deb: {error}")


def make_package(arguments: argparse.Namespace) -> Path:
    """Make the package and return its file.

    Raises
    ------
    BuildError
        It cannot be made here.
    """
    require_debian()
    epoch = commit_time(arguments.source)
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch)
    # What is packed may be read by everybody, whoever builds.
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as scratch:
        wheels, tree = Path(scratch, "wheels"), Path(scratch, "tree")
        fill_wheels(wheels, arguments.source, arguments.bundle)
        package = packing.Package.of(next(wheels.glob(f"{bundle.WHEEL}-*.whl")), epoch)
        fill_tree(tree, wheels, arguments.source, package)
        return packing.pack(tree, arguments.folder, package, arguments.compression)


if __name__ == "__main__":
    main()
