"""The library reaches an installation, a wheel, and no one misses it where it cannot be built."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.native.building import LIBRARY, ROOT, built_wheel, copied_project, fresh_environment, pip

needs_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
pytestmark = pytest.mark.slow  # each makes an installation or a wheel

needs_make = pytest.mark.skipif(not shutil.which("make"), reason="needs make")

SOURCES = (
    *("requirements.lock", "pyproject.toml", "setup.py"),
    *("appliance/native/columns.c", "appliance/native/hashing.h"),
)
STATE = "from appliance.native.library import *; print(PATH, load())"
HALF = "#!/bin/sh\nwhile [ $1 != -o ]; do shift; done; echo half >$2; exit "
"""A compiler that writes something and then ends so."""


@pytest.fixture
def compiler(tmp_path):
    """Return a function that makes a compiler which writes half a library."""

    def make(status: int) -> str:
        program = tmp_path / f"cc-{status}"
        program.write_text(f"{HALF}{status}\n")
        program.chmod(0o755)
        return str(program)

    return make


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return built_wheel(tmp_path_factory.mktemp("wheel") / "native")


def installed(folder: Path, **variables: str) -> tuple[Path, str, str]:
    """Install a copy as `make run` does, where an older library lies; return the copy, what pip
    printed and what the installed program says of its library."""
    source, python = copied_project(folder / "source"), fresh_environment(folder / "venv")
    (source / LIBRARY).write_text("of older sources")
    printed = pip(python, "install", "--ignore-installed", "-e", source, **variables)
    done = subprocess.run(
        [python, "-c", STATE], cwd=folder, env={}, text=True, capture_output=True, check=True
    )
    return source, printed, done.stdout.strip()


def native_files(source: Path) -> set[str]:
    return {path.name for path in (source / "appliance/native").iterdir()} - {"__pycache__"}


@pytest.mark.parametrize(
    "variables",
    [
        {"PATH": "/nonexistent"},
        {"CC": "false"},
        {"CC": "true"},
        {"CC": "no-such-compiler -O3"},
        {"APPLIANCE_NATIVE": "0"},
    ],
    ids=lambda variables: "=".join(*variables.items()),
)
def test_install_when_no_library_can_be_built_then_silent_and_none_is_there(variables, tmp_path):
    source, printed, state = installed(tmp_path, **variables)
    assert printed == ""
    assert native_files(source) == native_files(ROOT) - {"kernels.so"}
    assert state == f"{source / LIBRARY} None"


@pytest.mark.parametrize("status", [0, 1])
def test_install_when_the_compiler_leaves_half_a_library_then_it_does_not_stay(
    status, compiler, tmp_path
):
    source, printed, state = installed(tmp_path, CC=compiler(status))
    assert printed == ""
    assert native_files(source) == native_files(ROOT) - {"kernels.so"}
    assert state.endswith(" None")


@needs_compiler
def test_install_when_there_is_a_compiler_then_the_library_is_loaded(tmp_path):
    source, printed, state = installed(tmp_path)
    assert printed == ""
    assert state.startswith(f"{source / LIBRARY} <CDLL ")
    assert not (source / "build").exists()


@needs_compiler
def test_wheel_when_there_is_a_compiler_then_for_this_processor_and_every_python(wheel):
    assert re.search(r"-py3-none-manylinux_2_17_(x86_64|aarch64)\.whl$", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (facts,) = [name for name in names if name.endswith(".dist-info/WHEEL")]
        text = archive.read(facts).decode()
        mode = archive.getinfo(LIBRARY).external_attr >> 16
    assert f"\nTag: {'-'.join(wheel.stem.split('-')[2:])}\n" in text
    assert "\nRoot-Is-Purelib: false\n" in text
    assert stat.S_IMODE(mode) == 0o644
    assert not [name for name in names if name.endswith((".c", ".h"))]


@needs_compiler
@pytest.mark.skipif(not shutil.which("readelf"), reason="needs Debian's binutils")
def test_library_when_built_then_it_needs_no_newer_glibc_than_its_wheel_says(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        library = archive.extract(LIBRARY, tmp_path)

    def readelf(option: str) -> str:
        command = ["readelf", "--wide", option, library]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    needed = re.findall(r"\bName: (\w+_)([0-9.]+)", readelf("--version-info"))
    assert needed
    for library_name, version in needed:
        assert library_name == "GLIBC_"
        assert tuple(map(int, version.split("."))) <= (2, 17, 0)
    linked = set(re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("--dynamic")))
    assert linked <= {"libc.so.6", "libm.so.6"}
    # As Debian builds its own: what the loader has filled in cannot be written afterwards.
    assert "BIND_NOW" in readelf("--dynamic")
    assert "GNU_RELRO" in readelf("--program-headers")
    # Nothing names the folder, the machine or the time of the build.
    assert ".note.gnu.build-id" not in readelf("--section-headers")
    assert str(wheel.parent).encode() not in Path(library).read_bytes()


@pytest.mark.parametrize("variables", [{"APPLIANCE_NATIVE": "0"}, {"CC": "false"}])
def test_wheel_when_without_the_library_then_for_every_processor(variables, tmp_path):
    pure = built_wheel(tmp_path / "pure", **variables)
    assert pure.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(pure) as archive:
        assert LIBRARY not in archive.namelist()
        (facts,) = [name for name in archive.namelist() if name.endswith(".dist-info/WHEEL")]
        assert "\nRoot-Is-Purelib: true\nTag: py3-none-any\n" in archive.read(facts).decode()


@needs_compiler
def test_wheel_when_an_earlier_build_had_a_compiler_then_its_library_is_not_in_it(tmp_path):
    first = built_wheel(tmp_path / "one")
    source = first.parent / "source"
    assert [*source.glob(f"build/lib*/{LIBRARY}")]
    (source / LIBRARY).write_text("of older sources")
    pip(Path(sys.executable), "wheel", "--wheel-dir", tmp_path, source, CC="false")
    (second,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(second) as archive:
        assert LIBRARY not in archive.namelist()
    assert second.name.endswith("-py3-none-any.whl")


@pytest.fixture
def installed_folder(tmp_path):
    """A folder in which make finds everything installed."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in (*SOURCES, ".venv/.installed", LIBRARY, "build/lib/half.so"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (10**9, 10**9))
    return tmp_path


def make(folder: Path, *arguments: str) -> str:
    command = ["make", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@needs_make
@pytest.mark.parametrize("name", SOURCES)
def test_make_when_a_source_of_the_library_changed_then_it_installs_again(installed_folder, name):
    assert "pip install" not in make(installed_folder, "-n", "run")
    (installed_folder / name).touch()
    assert "pip install --quiet --no-deps" in make(installed_folder, "-n", "run")


@needs_make
def test_make_when_it_cleans_then_the_library_goes_too(installed_folder):
    make(installed_folder, "clean")
    there = {path.name for path in installed_folder.rglob("*") if path.is_file()}
    assert there == {"Makefile", *(Path(name).name for name in SOURCES)}
