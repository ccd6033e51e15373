"""A collector in a process of its own, and what its flow log holds."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from pyarrow import parquet

from appliance.collector.status import read_status
from appliance.flowlog import FlowLogReader
from appliance.settings.types import ListenAddress


class RunningCollector:
    """`appliance collect` on a free loopback port, with its loader."""

    def __init__(self, folder: Path, settings: str = "", command: str = "collect") -> None:
        self.folder, self.command = folder, command
        self.words = ["run", "--demo"] if command == "demo" else [command]
        self.conf, self.data = folder / "conf", folder / "data"
        self.conf.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        (self.conf / "appliance.yml").write_text(
            f'data_directory: ../data\ncollector:\n  listen: ["127.0.0.1:{self.port}"]\n{settings}'
        )
        if command in ("run", "demo"):
            self.api_port = free_port(socket.SOCK_STREAM)
            with (self.conf / "appliance.yml").open("a") as file:
                file.write(f'web:\n  listen: ["127.0.0.1:{self.api_port}"]\n')
            (self.conf / "api_server.yml").write_text(
                f"listen:\n  address: 127.0.0.1\n  port: {free_port(socket.SOCK_STREAM)}\n"
            )
        self.ready_pattern = ""
        self.process: subprocess.Popen[str] | None = None
        self.output: list[str] = []

    @property
    def target(self) -> ListenAddress:
        return ListenAddress("127.0.0.1", self.port)

    def start(self) -> RunningCollector:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "appliance", "-confPath", f"{self.conf}/", *self.words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        ready = threading.Event()
        thread = threading.Thread(target=self._read, args=(self.process.stdout, ready), daemon=True)
        thread.start()
        assert ready.wait(60), "\n".join(self.output)
        return self

    def _read(self, stream: Any, ready: threading.Event) -> None:
        with stream:
            for line in stream:
                self.output.append(line.rstrip())
                if re.search(self.ready_pattern or rf"UDP .*:{self.port}", line):
                    ready.set()

    def stop(self) -> int:
        assert self.process is not None
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        return process.wait(60)

    def kill(self) -> None:
        """Kill the command as it stands; what it started notices by itself."""
        assert self.process is not None
        process, self.process = self.process, None
        process.kill()
        process.wait(10)

    def kill_child(self, command: str) -> None:
        """Kill the child that runs a subcommand; it is started again by itself."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if command in child.cmdline():
                    child.kill()

    def kill_collector(self, seconds: float = 30.0) -> None:
        """Kill the collector that `run` started, and wait until there is another."""
        before = self.status().get("pid")
        self.kill_child("collect")
        deadline = time.monotonic() + seconds
        while self.status().get("pid") == before:
            assert time.monotonic() < deadline, "\n".join(self.output)
            threading.Event().wait(0.05)

    def close(self) -> None:
        """Leave nothing behind, children of former rounds included."""
        if self.process is not None:
            self.kill()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if f"{self.conf}/" in process.cmdline():
                    process.kill()

    def status(self) -> dict[str, Any]:
        return read_status(self.data / "collector.json") or {}

    def wait_for(self, what: str, at_least: int, seconds: float = 20.0) -> dict[str, Any]:
        """Wait until a figure of the status has grown so far."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self.status()
            if status.get(what, 0) >= at_least:
                return status
            threading.Event().wait(0.05)
        raise AssertionError(f"{what} is not {at_least}: {self.status()}")

    def rows(self, options: bool = False) -> int:
        """Count the rows of the log, once the loader is done with it."""
        snapshot = FlowLogReader(self.data / "flowlog").snapshot(options)
        assert not snapshot.damaged
        sealed = sum(parquet.read_metadata(file.path).num_rows for file in snapshot.files)
        return int(sealed) + sum(rows.n_rows for rows in snapshot.rows)


def free_port(kind: int = socket.SOCK_DGRAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def soak_rounds(default: int) -> int:
    return int(os.environ.get("APPLIANCE_SOAK_ROUNDS", default))
