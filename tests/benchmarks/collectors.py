"""The two collectors that are compared, each with a process tree, a port and a folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import pyarrow.parquet as pq

from tests.benchmarks.processes import (
    cpu_seconds,
    receive_buffer_octets,
    run_and_wait,
    udp_port,
)

REPOSITORY = Path(__file__).parents[2]
BUFFER_OCTETS = 64_000_000
START_SECONDS = 30.0
STOP_SECONDS = 300.0

_MERGE = """
import sys, time
from pathlib import Path
from appliance.flowlog import FlowLogLimits, Maintainer
later = int(time.time() * 1000) + 2 * 3_600_000
Maintainer(Path(sys.argv[1]), FlowLogLimits()).run_once(later)
"""
"""Merges as at the end of the hour, which a measurement does not wait for."""


def free_port() -> int:
    """Return a UDP port that nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Subject(Protocol):
    """A collector under measurement.

    Attributes
    ----------
    name, port, pid
        For the table; where it listens; the root of its process tree.
    """

    name: str
    port: int

    @property
    def pid(self) -> int: ...

    def start(self) -> None:
        """Start it and wait until its port is bound."""
        ...

    def stop(self) -> dict[str, Any]:
        """Stop it, bring its files into their final form; return flows, octets on disk, CPU."""
        ...


class Tree:
    """What both have in common: one process tree and its folder."""

    name = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"

    @property
    def pid(self) -> int:
        """The root of the tree."""
        assert self._process is not None
        return self._process.pid

    def command(self) -> list[str]:
        """Return the command line."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the program and wait until its port is bound."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=REPOSITORY)
        deadline = time.monotonic() + START_SECONDS
        while udp_port(self.port) is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)
        time.sleep(2.0)  # let its children come up, so that their start is not measured
        self._cpu_at_start = cpu_seconds(self.pid)
        self.buffer_octets = receive_buffer_octets(self.port)

    def _end(self) -> float:
        """Stop the tree; return the CPU seconds since the start, to the very end."""
        process = self._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                process.kill()
                raise RuntimeError(f"{self.name} does not stop within {STOP_SECONDS:.0f} s")
            time.sleep(0.02)
        process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_utime + usage.ru_stime - self._cpu_at_start


class Appliance(Tree):
    """`appliance collect` with its loader; the flow log alone, or with roll-ups beside it.

    Parameters
    ----------
    databases
        Of addresses, for both AS and countries.
    settings
        Further ones, as they stand in the file.
    """

    name = "appliance"

    def __init__(
        self,
        folder: Path,
        *,
        rollups: bool = False,
        databases: Path | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(folder)
        self.settings = settings
        self.rollups, self.databases = rollups, databases

    def command(self) -> list[str]:
        """Write the configuration and return the command line."""
        conf = self.folder / "conf"
        conf.mkdir(exist_ok=True)
        settings = {
            "data_directory": str(self.folder / "data"),
            "collector.listen": f"127.0.0.1:{self.port}",
            "collector.receive_buffer": BUFFER_OCTETS,
            **({} if self.rollups else {"plugins.disabled": "[rollups]"}),
            **({"names.as_database": self.databases} if self.databases else {}),
            **self.settings,
        }
        text = "".join(f"{name}: {value}\n" for name, value in settings.items())
        (conf / "appliance.yml").write_text(text)
        return [sys.executable, "-m", "appliance", "-confPath", f"{conf}/", "collect"]

    def stop(self) -> dict[str, Any]:
        """Stop, seal and merge; count rows and octets of the final files."""
        cpu = self._end()
        flow_log = self.folder / "data" / "flowlog"
        merging = run_and_wait([sys.executable, "-c", _MERGE, str(flow_log)], STOP_SECONDS)
        files = sorted((flow_log / "flows").iterdir())
        parquet = [file for file in files if file.suffix == ".parquet"]
        status = json.loads((self.folder / "data" / "collector.json").read_text())
        return {
            "cpu_seconds": cpu + merging,
            "merge_cpu_seconds": merging,
            "flows": sum(pq.read_metadata(file).num_rows for file in parquet),
            "disk_octets": sum(file.stat().st_size for file in files),
            "files": len(files),
            "unsealed": len(files) - len(parquet),
            "datagrams": status["datagrams"],
            "kernel_drops": status["kernel_drops"],
            "lost": status["lost"],
        }


class Nfcapd(Tree):
    """nfcapd with LZ4 compression."""

    name = "nfcapd -y"

    @staticmethod
    def available() -> bool:
        """Tell whether it is installed."""
        return shutil.which("nfcapd") is not None

    def command(self) -> list[str]:
        """Return the command line."""
        self.data = self.folder / "data"
        self.data.mkdir(exist_ok=True)
        options = ["-y", "-t", "60", "-b", "127.0.0.1", "-p", str(self.port)]
        return ["nfcapd", *options, "-B", str(BUFFER_OCTETS), "-w", str(self.data)]

    def stop(self) -> dict[str, Any]:
        """Stop; count what its log and its files say."""
        cpu = self._end()
        told = self.log.read_text(errors="replace")
        summaries = re.findall(
            r"Flows: (\d+), Packets: \d+, Bytes: \d+, Sequence Errors: (\d+)", told
        )
        files = [file for file in self.data.rglob("nfcapd.*") if file.is_file()]
        return {
            "cpu_seconds": cpu,
            "flows": sum(int(flows) for flows, _ in summaries),
            "disk_octets": sum(file.stat().st_size for file in files),
            "files": len(files),
            "sequence_errors": sum(int(errors) for _, errors in summaries),
        }
