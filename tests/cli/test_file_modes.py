"""Who can read what the appliance writes: its group, whatever umask it was started with."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from appliance.traffic.generator import Generator, Order, Transmission, demo_exporters
from tests.collector.running import RunningCollector

OWNER_ONLY = (
    "secret",
    "collector.conf",
    "appliance.sqlite",
    "appliance.sqlite-wal",
    "appliance.sqlite-shm",
)
"""What holds passwords, as hashes or as they are, and keys."""

PRINT = """\
nfacctd_ip: 127.0.0.1
nfacctd_port: {port}
plugins: print[p]
print_output: csv
print_output_file: {folder}/printed/out
print_refresh_time: 1
files_umask: 022
aggregate: src_host
"""


def modes(folder: Path) -> dict[str, int]:
    """Return the permissions of a folder and all that is in it."""
    paths = [folder, *folder.rglob("*")]
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode)
        for path in paths
        if not path.is_socket()
    }


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_files_when_run_with_any_umask_then_the_group_reads_and_others_nothing(
    tmp_path: Path, umask: int
) -> None:
    running = RunningCollector(
        tmp_path, "  config: nfacctd.conf\nflow_log:\n  segment_seconds: 1\n", command="run"
    )
    (running.conf / "nfacctd.conf").write_text(PRINT.format(folder=running.data, port=running.port))
    before = os.umask(umask)
    try:
        running.start()
        Transmission(Generator(demo_exporters()), running.target, Order(flows=300)).run()
        running.wait_for("datagrams", 1)
        for pattern in ("flowlog/flows/*.parquet", "printed/out", "flows.sqlite-wal"):
            wait_for_file(running.data, pattern)
        words = ["token", "create", "--name", "grafana", "--lifetime", "365d"]
        subprocess.run(
            [sys.executable, "-m", "appliance", "-confPath", f"{running.conf}/", *words],
            check=True,
            capture_output=True,
            timeout=60,
        )
        while_running = modes(running.data)
        assert running.stop() == 0
    finally:
        os.umask(before)
        running.close()
    for found in (while_running, modes(running.data)):
        printed = {name: mode for name, mode in found.items() if name.startswith("printed")}
        assert printed == {"printed": 0o755, "printed/out": 0o644}
        others = {name: mode for name, mode in found.items() if name not in printed}
        assert len(others) > 15
        assert others == {name: expected_mode(running.data / name) for name in others}


def wait_for_file(folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + 30
    while not any(folder.glob(pattern)):
        assert time.monotonic() < deadline, f"no {pattern} in {sorted(folder.rglob('*'))}"
        threading.Event().wait(0.05)


def expected_mode(path: Path) -> int:
    if path.is_dir():
        return 0o750
    return 0o600 if path.name in OWNER_ONLY else 0o640
