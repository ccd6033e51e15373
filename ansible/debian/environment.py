"""Makes the package's virtual environment from the wheels of the bundle, the same each time.

It is made in a staging folder with the paths of the place where it will be: nothing in it names the
staging folder. Modules are compiled, since the appliance's user may not write beside them.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

INTERPRETER = Path("/usr/bin/python3").resolve()
"""Debian's, whatever runs this: the package is for the release that it is made on."""

PYTHON = INTERPRETER.name
COMMANDS = ("appliance", "python", "python3", PYTHON)
SUPERFLUOUS = ("numpy/**/tests", "pyarrow/tests", "pyarrow/include", "pyarrow/src")
"""Below site-packages: what only developers of these libraries use, 40 MB."""


def make_environment(staging: Path, home: Path, wheels: Path, epoch: int) -> Path:
    """Make the environment whose place is `home`, below the staging folder; return its folder."""
    made = staging / home.relative_to("/")
    run(INTERPRETER, "-m", "venv", "--without-pip", "--symlinks", made)
    options = ["--quiet", "--disable-pip-version-check", "--no-index", "--require-hashes"]
    options += ["--no-compile", "--no-warn-script-location", "--find-links", str(wheels)]
    interpreter = made / "bin" / PYTHON
    pip = [sys.executable, "-m", "pip", "--python", interpreter, "install"]
    run(*pip, *options, "--requirement", wheels / "requirements.txt")
    libraries = made / "lib" / PYTHON / "site-packages"
    for pattern in SUPERFLUOUS:
        for folder in list(libraries.glob(pattern)):
            shutil.rmtree(folder)
    _tidy_programs(made, home)
    for file in libraries.rglob("*"):
        if file.name == ".DS_Store":
            file.unlink()
        elif file.is_file():
            # All are loaded, none is run.
            file.chmod(0o644)
    for record in libraries.glob("*.dist-info/RECORD"):
        _mend_record(record)
    compile_modules(staging, made, epoch)
    return made


def compile_modules(staging: Path, made: Path, epoch: int) -> None:
    """Compile all modules against the time that each file will have on the box.

    One process and a fixed hash seed: both decide about the order of constants in compiled code.
    """
    set_times(made, epoch)
    command = [made / "bin" / PYTHON, "-m", "compileall", "-q", "--invalidation-mode", "timestamp"]
    seed = os.environ | {"PYTHONHASHSEED": "0"}
    run(*command, "-s", staging, "-p", "/", made / "lib", env=seed)


def set_times(folder: Path, epoch: int) -> None:
    """Give everything in a folder one time of change."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a program that must succeed."""
    subprocess.run([*map(str, command)], check=True, env=env)


def _tidy_programs(made: Path, home: Path) -> None:
    """Keep our program and Python's names; without the staging folder's path in either."""
    for file in (made / "bin").iterdir():
        if file.name not in COMMANDS:
            file.unlink()
    for name in ("python", "python3", PYTHON):
        (made / "bin" / name).unlink(missing_ok=True)
        (made / "bin" / name).symlink_to(INTERPRETER if name == PYTHON else PYTHON)
    script = made / "bin" / "appliance"
    _, _, body = script.read_text().partition("\n")
    script.write_text(f"#!{home}/bin/python\n{body}")
    version = PYTHON.removeprefix("python")
    settings = f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {version}\n"
    (made / "pyvenv.cfg").write_text(settings)
    for name in ("include", "share"):
        shutil.rmtree(made / name, ignore_errors=True)
    # Python 3.13 makes the second, for those who keep an environment in a checkout.
    for name in ("lib64", ".gitignore"):
        (made / name).unlink(missing_ok=True)


def _mend_record(record: Path) -> None:
    """Leave out of a distribution's list of files what is gone, and renew what was changed."""
    rows = []
    for name, digest, size in csv.reader(record.read_text().splitlines()):
        file = record.parents[1] / name
        if not file.exists():
            continue
        if digest and file.parent.name == "bin":
            octets = file.read_bytes()
            known = base64.urlsafe_b64encode(hashlib.sha256(octets).digest()).rstrip(b"=")
            rows.append((name, f"sha256={known.decode()}", str(len(octets))))
        else:
            rows.append((name, digest, size))
    with record.open("w", newline="") as output:
        csv.writer(output, lineterminator="\n").writerows(rows)
