"""Makes a release in a folder: sdist, wheel, bundle, Debian package, image, bills of materials.

Run by `make release`, in the virtual environment of the project and in the folder of Ansible. The
version is that of `appliance/__init__.py`. Two runs of one commit make the same octets, as long as
Debian's packages for the image are the same: `make release-check` compares.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from debian.building import BuildError, commit_time, require_debian

from release.conditions import require_release
from release.making import SUMS, make_release

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Read the command line and make the release; nothing of it is there before all is."""
    parser = argparse.ArgumentParser(prog="make release", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the release goes")
    parser.add_argument("--source", type=Path, default=ROOT, help="the project's folder")
    parser.add_argument(
        "--rehearsal", action="store_true", help="also of a commit that is no release"
    )
    arguments = parser.parse_args()
    try:
        require_debian()
        if not arguments.rehearsal:
            require_release(arguments.source)
        os.environ["SOURCE_DATE_EPOCH"] = str(commit_time(arguments.source))
        # What is packed may be read by everybody, whoever builds.
        os.umask(0o022)
        arguments.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".release-", dir=arguments.folder) as scratch:
            made = Path(scratch).resolve()
            make_release(made, arguments.source.resolve())
            for file in sorted(made.iterdir()):
                file.rename(arguments.folder / file.name)
        print((arguments.folder / SUMS).read_text(), end="")
    except BuildError as error:
        sys.exit(f"make release: {error}")


if __name__ == "__main__":
    main()
