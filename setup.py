"""Builds the kernels in C (appliance/native) where there is a C compiler; see pyproject.toml for
all else.

The compiler is called without Python's headers: the kernels know nothing of Python. Without one the
package is installed all the same, and twins in numpy do the work. APPLIANCE_NATIVE=0 builds none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NAME = "appliance.native.kernels"
SOURCES = sorted(str(path) for path in Path("appliance/native").glob("*.c"))
# Each sum rounds as it does in numpy; nothing in the file tells where or when it was built.
OPTIONS = (
    "-std=gnu11",
    "-O3",
    "-fPIC",
    "-shared",
    "-ffp-contract=off",
    "-s",
    "-Wl,--build-id=none",
)


class BuildKernels(build_ext):
    """One shared library of all sources, of the same name for every Python."""

    def get_ext_filename(self, fullname: str) -> str:
        """Return a name without the version of Python."""
        return str(Path(*fullname.split(".")).with_suffix(".so"))

    def build_extension(self, ext: Extension) -> None:
        """Call the compiler once for all sources; without one, leave the library out."""
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            print("no C compiler: the kernels are left out, numpy does their work", file=sys.stderr)
            return
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([compiler, *OPTIONS, "-o", str(target), *ext.sources, "-lm"], check=True)


native = os.environ.get("APPLIANCE_NATIVE") != "0"
setup(
    ext_modules=[Extension(NAME, SOURCES, depends=["appliance/native/hashing.h"], optional=True)]
    if native
    else [],
    cmdclass={"build_ext": BuildKernels},
)
