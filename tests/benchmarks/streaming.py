"""How fast the flow log goes to other programs as lines, in one process."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

from appliance.flowlog import FLOW_LOG_FOLDER, FlowLogLimits, FlowLogWriter
from appliance.plugins.stream.loader import loaders_of
from appliance.plugins.stream.stream_settings import SETTINGS
from appliance.settings.file import SettingsFile
from tests.benchmarks.enriching import decoded

ROWS = 400_000


def streaming(folder: Path, protocol: str) -> dict[str, Any]:
    """Return flows a second and CPU of each way out."""
    n_rows = write_log(folder / FLOW_LOG_FOLDER, protocol)
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_swallow, args=(server,), daemon=True).start()
    port = server.getsockname()[1]
    ways = {
        "TCP": {"to": f"tcp://127.0.0.1:{port}"},
        "TCP, a filter": {"to": f"syslog+tcp://127.0.0.1:{port}", "filter": "dst port 443"},
        "TCP, three columns": {
            "to": f"tcp://localhost:{port}",
            "columns": ["source_address", "destination_address", "octet_delta_count"],
        },
        "file": {"to": f"file:{folder}/flows.json"},
    }
    return {name: _measured(folder, way, n_rows) for name, way in ways.items()}


def write_log(folder: Path, protocol: str) -> int:
    """Write a flow log of generated flows, and return how many."""
    writer = FlowLogWriter(folder, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    batches, n_rows = decoded(protocol), 0
    while n_rows < ROWS:
        for batch in batches:
            writer.append(batch)
            n_rows += batch.n_records
        writer.flush({}, time.time_ns() // 1_000_000)
    writer.close(time.time_ns() // 1_000_000)
    return n_rows


def _measured(folder: Path, target: dict[str, Any], n_rows: int) -> dict[str, float]:
    targets = [{**target, "history": True}]
    tree = {"data_directory": str(folder), "stream": {"targets": targets}}
    (loader,) = loaders_of(SettingsFile(None, folder, tree).settings(SETTINGS))
    rows, start, cpu = 0, time.monotonic(), time.process_time()
    while rows < n_rows:
        rows += loader.load_once(time.time()).rows
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    loader.close()
    return {"flows_per_second": rows / seconds, "us_per_flow": cpu / rows * 1e6}


def _swallow(server: socket.socket) -> None:
    """Read what comes; its cost is in this process, and small."""
    while True:
        connection, _ = server.accept()
        with connection:
            while connection.recv(1 << 20):
                pass
