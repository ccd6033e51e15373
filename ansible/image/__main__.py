"""Makes the container image of the appliance, for the processor of this machine; needs no registry.

Run by `make image`, in the virtual environment of the project and in the folder of Ansible.
Packages of Debian come from where apt of this machine gets them. Two runs of the same commit with
the same packages make the same octets.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import bundle
from debian.bill_of_materials import bill_of_wheels
from debian.building import BuildError, commit_time, fill_wheels, require_debian

from image.archive import write_archive
from image.base import PACKAGES, base_members, debian_bill, make_base
from image.configuration import Image
from image.contents import fill_tree
from image.layers import Layer, tree_members, write_layer

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Read the command line and make the image."""
    parser = argparse.ArgumentParser(prog="make image", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the image goes")
    parser.add_argument("--source", type=Path, default=ROOT, help="the project's folder")
    parser.add_argument("--bundle", type=Path, help="of `make bundle`; else its wheels are fetched")
    parser.add_argument("--level", type=int, default=6, help="of compression; 1 is quick")
    arguments = parser.parse_args()
    # What is packed may be read by everybody, whoever builds.
    os.umask(0o022)
    try:
        require_debian()
        os.environ["SOURCE_DATE_EPOCH"] = str(commit_time(arguments.source))
        with tempfile.TemporaryDirectory() as scratch:
            print(make_image(arguments, Path(scratch)))
    except BuildError as error:
        sys.exit(f"make image: {error}")


def make_image(arguments: argparse.Namespace, scratch: Path) -> Path:
    """Make the image and return its file.

    Raises
    ------
    BuildError
        It cannot be made here.
    """
    wheels = scratch / "wheels"
    fill_wheels(wheels, arguments.source, arguments.bundle)
    own = next(wheels.glob(f"{bundle.WHEEL}-*.whl"))
    image = Image(own.name.split("-")[1], architecture(), commit_time(arguments.source))
    base = make_base(scratch, image.epoch)
    bill = bill_of_wheels(wheels, debian_bill(base))
    layers = [
        lower_layer(scratch, base, image, arguments.level),
        upper_layer(scratch, wheels, bill, image, arguments.level),
    ]
    made = write_archive(arguments.folder, image, layers)
    made.with_suffix("").with_suffix(".cdx.json").write_text(bill)
    return made


def lower_layer(scratch: Path, base: Path, image: Image, level: int) -> Layer:
    """Make the layer of Debian's packages."""
    origin = f"mmdebstrap --variant=essential --include={','.join(PACKAGES)}"
    return write_layer(scratch / "lower", base_members(base, image.epoch), origin, level)


def upper_layer(scratch: Path, wheels: Path, bill: str, image: Image, level: int) -> Layer:
    """Make the layer of the program."""
    tree = scratch / "tree"
    owners = fill_tree(tree, wheels, bill, image)
    members = tree_members(tree, owners, image.epoch)
    return write_layer(scratch / "upper", members, "make image", level)


def architecture() -> str:
    """Return what Debian and OCI call the processor of this machine."""
    command = ["dpkg", "--print-architecture"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
