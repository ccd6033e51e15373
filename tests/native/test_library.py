"""Loading the library of kernels: only one of these sources, and none where it is switched off."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.native.library import INTERFACE, SWITCH, load, why_unavailable

needs_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")


@pytest.fixture(autouse=True)
def switched_on(monkeypatch):
    monkeypatch.delenv(SWITCH, raising=False)


@pytest.fixture
def compiled(tmp_path):
    """Compile a library of a few lines; return its file."""

    def make(text: str) -> Path:
        library = tmp_path / "kernels.so"
        command = ["cc", "-shared", "-fPIC", "-o", library, "-x", "c", "-"]
        subprocess.run(command, input=text, text=True, check=True)
        return library

    return make


def of_interface(number: int) -> str:
    return f"long long kernels_interface(void) {{ return {number}; }}"


def test_library_when_missing_then_none_and_said(tmp_path):
    assert load(tmp_path / "kernels.so") is None
    assert why_unavailable(tmp_path / "kernels.so").startswith("not built when this was installed")


@needs_compiler
def test_library_when_of_these_sources_then_loaded(compiled):
    library = compiled(of_interface(INTERFACE))
    assert isinstance(load(library), ctypes.CDLL)
    assert why_unavailable(library) == ""


@needs_compiler
@pytest.mark.parametrize("text", [of_interface(INTERFACE + 1), "int something_else;"])
def test_library_when_of_other_sources_then_none_and_said(compiled, text):
    library = compiled(text)
    assert load(library) is None
    assert why_unavailable(library) == f"{library} is of other sources, install again"


@pytest.mark.parametrize("octets", [b"", b"\x7fELF\x02\x01", b"no library" * 100])
def test_library_when_damaged_then_none_and_said(tmp_path, octets):
    library = tmp_path / "kernels.so"
    library.write_bytes(octets)
    assert load(library) is None
    assert why_unavailable(library).startswith(f"cannot be loaded: {library}: ")


@needs_compiler
@pytest.mark.parametrize(("value", "is_loaded"), [("0", False), ("1", True), ("", True)])
def test_library_when_the_switch_is_0_then_left_out(compiled, monkeypatch, value, is_loaded):
    library = compiled(of_interface(INTERFACE))
    monkeypatch.setenv(SWITCH, value)
    assert (load(library) is not None) is is_loaded
    assert why_unavailable(library) == ("" if is_loaded else "switched off by APPLIANCE_NATIVE=0")


def test_library_when_its_state_is_asked_for_then_without_numpy():
    code = (
        "import sys; from appliance.native import library; library.why_unavailable();"
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
