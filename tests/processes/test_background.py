"""`appliance collect` with a log file and a file of its process number."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from appliance.processes.background import SUPERVISED_BY
from tests.collector.running import RunningCollector


def test_collect_when_log_and_process_file_are_set_then_written(tmp_path: Path) -> None:
    settings = "  process_file: ../c.pid\nlog_level: debug\nlog_file: ../c.log\n"
    running = RunningCollector(tmp_path, settings)
    number, log = tmp_path / "c.pid", tmp_path / "c.log"
    try:
        running.start()
        assert running.process is not None
        assert int(number.read_text()) == running.process.pid
        assert log.exists()
        assert running.stop() == 0
    finally:
        running.close()
    assert not number.exists()


def test_collect_when_the_process_file_cannot_be_written_then_one_sentence(tmp_path: Path) -> None:
    running = RunningCollector(tmp_path, "  process_file: ../no/such/folder\n")
    ran = subprocess.run(
        [sys.executable, "-m", "appliance", "-confPath", f"{running.conf}/", "collect"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode != 0
    assert ran.stderr.endswith(
        f"process file {tmp_path}/no/such/folder: no such file or directory\n"
    )


def test_collect_when_in_the_background_then_nobody_holds_what_it_wrote_to(tmp_path: Path) -> None:
    running = RunningCollector(tmp_path, "  background: true\n  process_file: ../c.pid\n")
    command = [sys.executable, "-m", "appliance", "-confPath", f"{running.conf}/", "collect"]
    environment = {k: v for k, v in os.environ.items() if k not in SUPERVISED_BY}
    try:
        # Its pipes end when the last one closes them.
        subprocess.run(command, capture_output=True, check=True, timeout=60, env=environment)
    finally:
        os.kill(int((tmp_path / "c.pid").read_text()), signal.SIGTERM)
