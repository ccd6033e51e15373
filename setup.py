"""Builds the kernels in C (appliance/native) where there is a C compiler; see pyproject.toml for
all else.

The compiler is called without Python's headers: the kernels know nothing of Python. Where it is
missing or fails, the package is installed all the same, and twins in numpy do the work.
APPLIANCE_NATIVE=0 builds none.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

FOLDER = Path("appliance/native")
LIBRARY = FOLDER / "kernels.so"
# Each sum rounds as it does in numpy; nothing in the file tells where or when it was built.
OPTIONS = ["-std=gnu11", "-O3", "-fPIC", "-shared", "-ffp-contract=off"]
OPTIONS += ["-s", "-Wl,--build-id=none"]
# What Debian builds its own libraries with.
OPTIONS += ["-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]
OPTIONS += ["-Wl,-z,relro,-z,now"]

OLDEST_GLIBC = 17
"""A wheel says 2.17 at least, the oldest that is asked for on both processors (PEP 600)."""


class NoLibraryError(Exception):
    """There will be no library; the text says why."""


def compile_library(sources: list[str], target: Path) -> None:
    """Compile all sources at once, and see whether the library can be loaded.

    Raises
    ------
    NoLibraryError
        There is no compiler, or what it makes is of no use here.
    """
    if os.environ.get("APPLIANCE_NATIVE") == "0":
        raise NoLibraryError("APPLIANCE_NATIVE is 0")
    compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(compiler[0]) is None:
        raise NoLibraryError(f"no C compiler ({compiler[0]})")
    try:
        subprocess.run([*compiler, *OPTIONS, "-o", str(target), *sources, "-lm"], check=True)
        # One for another processor cannot be loaded.
        ctypes.CDLL(str(target.resolve()))
    except subprocess.CalledProcessError as error:
        raise NoLibraryError(f"{compiler[0]} ended with {error.returncode}") from error
    except OSError as error:
        raise NoLibraryError(str(error)) from error
    # The same for every umask: it is loaded, not run.
    target.chmod(0o644)


class BuildKernels(build_ext):
    """One shared library of all sources, of the same name for every Python."""

    def get_ext_filename(self, fullname: str) -> str:
        """Return a name without the version of Python."""
        return str(Path(*fullname.split(".")).with_suffix(".so"))

    def build_extension(self, ext: Extension) -> None:
        """Build the library or leave it out; a half one, or one of older sources, never stays."""
        made, target = Path(self.build_temp, LIBRARY.name), Path(self.build_lib, LIBRARY)
        for path in (made, target):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        try:
            compile_library(ext.sources, made)
            shutil.move(made, target)
        except NoLibraryError as reason:
            print(f"numpy does the work of the kernels in C: {reason}", file=sys.stderr)

    def copy_extensions_to_source(self) -> None:
        """Put the library beside its sources, whole or not at all."""
        built, beside = Path(self.build_lib, LIBRARY), LIBRARY.with_suffix(".partial.so")
        if built.exists():
            shutil.copy(built, beside)
            beside.replace(LIBRARY)
        else:
            LIBRARY.unlink(missing_ok=True)


class TagWheel(bdist_wheel):
    """A wheel for every Python: of one processor with the library, of all without."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return the tag; asked for when all is built, and before that by an editable install."""
        library = Path(self.get_finalized_command("build_ext").build_lib, LIBRARY)
        self.root_is_pure = not library.exists()
        _, _, system = super().get_tag()
        return "py3", "none", system if self.root_is_pure else platform_tag(library, system)


def platform_tag(library: Path, otherwise: str) -> str:
    """Return which systems can load a library, by the newest version of glibc that it names."""
    versions = [int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", library.read_bytes())]
    # Another C library has no such names, and no tag of all Linux distributions.
    newest = max(OLDEST_GLIBC, *versions) if versions else None
    return f"manylinux_2_{newest}_{platform.machine()}" if newest else otherwise


sources, headers = (sorted(map(str, FOLDER.glob(pattern))) for pattern in ("*.c", "*.h"))
setup(
    # Optional: setuptools goes on without it.
    ext_modules=[Extension("appliance.native.kernels", sources, depends=headers, optional=True)],
    cmdclass={"build_ext": BuildKernels, "bdist_wheel": TagWheel},
)
