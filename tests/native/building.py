"""A copy of the project that wheels and environments are made of, by pip, without any index."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARY = "appliance/native/kernels.so"
LEFT_OUT = ("PYTHONPATH", "CC", "APPLIANCE_NATIVE")
"""Of the environment: what would lead to this checkout, or make another library."""

OPTIONS = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")


def copied_project(folder: Path) -> Path:
    """Copy what a wheel is made of, without what earlier builds left in it."""
    folder.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    unwanted = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "appliance", folder / "appliance", ignore=unwanted)
    return folder


def built_wheel(folder: Path, **variables: str) -> Path:
    """Make a wheel of a copy in a folder that does not exist yet."""
    folder.mkdir()
    source = copied_project(folder / "source")
    pip(Path(sys.executable), "wheel", "--wheel-dir", folder, source, **variables)
    (wheel,) = folder.glob("*.whl")
    return wheel


def fresh_environment(folder: Path) -> Path:
    """Make a virtual environment that sees the libraries of this one; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


def pip(python: Path, command: str, *arguments: str | Path, **variables: str) -> str:
    """Run pip, which must succeed; return all that it prints."""
    words = [python, "-m", "pip", command, *OPTIONS, "--no-build-isolation", *arguments]
    own = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    done = subprocess.run(words, env=own | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
