"""`make test-python`: the unit tests under other Pythons than the one of the environment.

Each name is a version, such as 3.12, of an interpreter of this machine, or a release of Debian,
whose python3 runs in a tree of that release (as root). Tests see a copy of what git knows, with the
libraries of requirements.lock in an environment of its own; nothing is left behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.box.releases import RELEASES, Release
from tests.box.tree import bare_archive, extract

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".pytest_cache" / "d" / "box"
"""Where the boxes of tests/box keep their trees, too."""

COMING = {
    name: Release(name, number, python, "dhcpcd-base")
    for name, number, python in (("forky", "14", "3.14"),)
}
"""Releases that are no boxes yet."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What the tests talk to, and a compiler for the kernels; tests of other programs are skipped.
PACKAGES = (
    *("python3-venv", "tzdata", "openssl", "curl", "procps", "git", "make", "mariadb-server"),
    *("gcc", "libc6-dev"),
)
LEFT_OUT = ("box", "image", "benchmarks", "plugins/console", "test_readme.py")
"""They run other Pythons than this one, a browser, or commands of the whole machine."""

SCRIPT = """\
set -eu
"$1" -m venv --clear "$2"
pip="$2/bin/python -m pip --quiet --disable-pip-version-check"
$pip install --require-hashes --requirement requirements.lock
$pip install --no-deps --no-build-isolation --editable .
$2/bin/python --version
folder=$2; shift 2
exec "$folder/bin/python" -m pytest -q -n 2 --dist loadscope --reruns 1 -rR "$@"
"""
# Not a container: tests make namespaces and drop rights themselves. The tree becomes the root
# folder of its mounts, since a namespace that a test enters begins there. The shell stays as the
# first process: as an init does, it reaps the daemons that tests leave to it once these have ended.
ENTER = """\
set -eu
tree=$1; shift
mount --bind "$tree" "$tree"
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
mount --rbind /sys "$tree/sys"
cd "$tree"
mkdir former
pivot_root . former
chroot . sh -c 'umount -l /former && cd /source && exec "$@"' sh "$@"
exit
"""


def main() -> None:
    """Run the tests under each Python that is named; exits with 1 where they do not pass."""
    names, words = sys.argv[1:], []
    if "--" in names:
        names, words = names[: names.index("--")], names[names.index("--") + 1 :]
    words = words or ["tests", *(f"--ignore=tests/{name}" for name in LEFT_OUT)]
    ended = {name: run_tests(name, words) for name in names}
    for name, verdict in ended.items():
        print(f"{name}: {verdict}")
    sys.exit(any(verdict != "passed" for verdict in ended.values()))


def run_tests(name: str, words: Sequence[str]) -> str:
    """Run the tests under one Python; return how that ended."""
    release = (RELEASES | COMING).get(name)
    interpreter = interpreter_of(name)
    if release is None and interpreter is None:
        return "not run: neither a Python of this machine nor a Debian that there are trees of"
    if release is not None and os.geteuid() != 0:
        return "not run: trees of Debian are made by root only"
    with tempfile.TemporaryDirectory(prefix="appliance-python-") as scratch:
        if release is None:
            source = Path(scratch, "source")
            copy_source(source)
            command = ["sh", "-c", SCRIPT, "sh", str(interpreter), f"{scratch}/venv", *words]
            # Only what is in the environment is imported.
            own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            done = subprocess.run(command, cwd=source, env=own, check=False)
        else:
            done = run_in_tree(release, Path(scratch, "tree"), words)
    return "passed" if done.returncode == 0 else f"FAILED, exit {done.returncode}"


def run_in_tree(
    release: Release, tree: Path, words: Sequence[str]
) -> subprocess.CompletedProcess[bytes]:
    """Run the tests with Debian's python3 of a release; what they start ends with them."""
    CACHE.mkdir(parents=True, exist_ok=True)
    extract(bare_archive(CACHE, release, PACKAGES), tree)
    copy_source(tree / "source")
    # pip reaches its index there as it does here.
    for file in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):
        (tree / file).unlink(missing_ok=True)
        shutil.copy(Path("/", file), tree / file)
    variables = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}
    variables |= {name: value for name, value in os.environ.items() if of_pip(name)}
    entered = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "sh"]
    command = [*entered, str(tree), "sh", "-c", SCRIPT, "sh", "python3", "/root/venv", *words]
    return subprocess.run(command, env=variables, check=False)


def of_pip(name: str) -> bool:
    """Tell whether a variable of the environment says how pip reaches its index."""
    return name in ("PIP_CERT", "PIP_INDEX_URL") or name.lower().endswith("_proxy")


def interpreter_of(version: str) -> Path | None:
    """Return the newest interpreter of a version that is here: in PATH, or in pyenv's folder."""
    on_path = shutil.which(f"python{version}")
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    built = sorted(root.glob(f"versions/{version}.*/bin/python"), key=lambda p: p.stat().st_mtime)
    # What pyenv puts into PATH runs only the versions that are chosen at the moment.
    candidates = [*([Path(on_path)] if on_path else []), *reversed(built)]
    return next((path for path in candidates if runs(path)), None)


def runs(interpreter: Path) -> bool:
    """Tell whether an interpreter can be started."""
    return subprocess.run([interpreter, "-V"], capture_output=True, check=False).returncode == 0


def copy_source(folder: Path) -> None:
    """Copy what git knows, as it is in the work tree."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)


if __name__ == "__main__":
    main()
