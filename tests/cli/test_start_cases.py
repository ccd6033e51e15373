"""Starts that the machine does not allow: one sentence, once, and the same exit code of each."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.collector.running import free_port

NOBODY = 65534
NO_OVERRIDE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner,-chown", "--")
"""Makes root an ordinary owner of files."""

READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'

Prefix = Sequence[str]
Case = Callable[[Path], Prefix]


def ordinary() -> Prefix:
    """Return words before a command by which permissions count for it."""
    if os.geteuid():
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root needs setpriv (util-linux) to have ordinary rights")
    return NO_OVERRIDE


def as_root() -> None:
    if os.geteuid():
        pytest.skip("only root gives files to others")


def read_only_folder(data: Path) -> Prefix:
    for path in (data, *data.rglob("*")):
        path.chmod(0o500 if path.is_dir() else 0o400)
    return ordinary()


def missing_in_a_foreign_folder(data: Path) -> Prefix:
    as_root()
    shutil.rmtree(data)
    os.chown(data.parent, NOBODY, NOBODY)
    data.parent.chmod(0o755)
    return ordinary()


def foreign(*paths: Path) -> Prefix:
    as_root()
    for path in paths:
        os.chown(path, NOBODY, NOBODY)
        path.chmod(0o700 if path.is_dir() else 0o600)
    return ordinary()


def foreign_folder(data: Path) -> Prefix:
    return foreign(data, *data.rglob("*"))


def foreign_files(data: Path) -> Prefix:
    return foreign(*(path for path in data.rglob("*") if path.is_file()))


def read_only_file_system(data: Path) -> Prefix:
    unshare = ("unshare", "--mount", *(("--map-root-user",) if os.geteuid() else ()))
    prefix = (*unshare, "sh", "-c", READ_ONLY, str(data))
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace can be made here")
    return prefix


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A configuration, with what a first run leaves in its data directory."""
    conf, data = tmp_path / "conf", tmp_path / "var"
    conf.mkdir()
    api, plain = (free_port(socket.SOCK_STREAM) for _ in range(2))
    (conf / "appliance.yml").write_text(
        f'data_directory: ../var\ncollector:\n  listen: ["127.0.0.1:{free_port()}"]\n'
        f'web:\n  listen: ["127.0.0.1:{api}"]\n'
    )
    (conf / "api_server.yml").write_text(f"listen:\n  address: 127.0.0.1\n  port: {plain}\n")
    for folder in ("flowlog/flows", "flowlog/options"):
        (data / folder).mkdir(parents=True)
    for name in ("api.lock", "secret", "flows.sqlite", "appliance.sqlite", "flowlog/writer.lock"):
        (data / name).touch()
    return tmp_path


@pytest.mark.parametrize("command", ["collect", "serve", "run"])
@pytest.mark.parametrize(
    "case",
    [
        read_only_folder,
        missing_in_a_foreign_folder,
        foreign_folder,
        foreign_files,
        read_only_file_system,
    ],
)
def test_start_when_the_data_directory_cannot_be_used_then_one_sentence_and_exit_code(
    command: str, case: Case, installed: Path
) -> None:
    prefix = case(installed / "var")
    ran = subprocess.run(
        [*prefix, sys.executable, "-m", "appliance", "-confPath", f"{installed}/conf/", command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    assert ran.stdout == ""
    [sentence] = ran.stderr.splitlines()
    assert sentence.startswith("appliance: ")
    assert f"{installed}/var" in sentence
    assert "ermission denied" in sentence or "ead-only file system" in sentence
