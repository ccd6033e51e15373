"""The flows of a flow log in nfdump's files, and how long nfdump takes to answer over them."""

from __future__ import annotations

import socket
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from appliance.flows import FlowBatch
from appliance.traffic.generator.layouts import V5_HEADER, V5_RECORD, V5_RECORDS_PER_DATAGRAM
from appliance.traffic.sendmmsg import DatagramSender
from tests.benchmarks.collectors import Nfcapd

FLOWS_A_SECOND = 250_000
_COLUMNS = {
    "source_address": "source_address_lo",
    "destination_address": "destination_address_lo",
    "packets": "packet_delta_count",
    "octets": "octet_delta_count",
    "source_port": "source_transport_port",
    "destination_port": "destination_transport_port",
    "protocol": "protocol_identifier",
}
_CALL_DATAGRAMS = 100


class NfdumpFiles:
    """Takes batches over, as NetFlow v5 through nfcapd, and answers questions."""

    def __init__(self, folder: Path) -> None:
        self._nfcapd, self._data = Nfcapd(folder), folder / "data"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sequence = 0

    def start(self) -> None:
        """Start nfcapd."""
        self._nfcapd.start()
        self._socket.connect(("127.0.0.1", self._nfcapd.port))

    def append(self, batch: FlowBatch) -> None:
        """Send a batch, no faster than nfcapd takes it."""
        whole = batch.n_records // V5_RECORDS_PER_DATAGRAM * V5_RECORDS_PER_DATAGRAM
        began = time.monotonic()
        octets, lengths = self._datagrams(batch, whole)
        sender = DatagramSender(self._socket)
        for first in range(0, len(octets), _CALL_DATAGRAMS):
            part = slice(first, first + _CALL_DATAGRAMS)
            sender.send(octets[part], lengths[part])
            due = began + first * V5_RECORDS_PER_DATAGRAM / FLOWS_A_SECOND
            time.sleep(max(due - time.monotonic(), 0))

    def stop(self) -> dict[str, Any]:
        """Stop nfcapd; return what it says of its files."""
        time.sleep(2.0)  # what waits in its socket is written first
        self._socket.close()
        return self._nfcapd.stop()

    def seconds(self, arguments: Sequence[str], tries: int, enough: float) -> float:
        """Return how long nfdump takes over everything, the median of some tries.

        Parameters
        ----------
        enough
            It is not asked again after so many seconds.
        """
        took: list[float] = []
        while len(took) < tries and sum(took) < enough:
            began = time.monotonic()
            command = ["nfdump", "-q", "-R", str(self._data), *arguments]
            subprocess.run(command, check=True, capture_output=True)
            took.append(time.monotonic() - began)
        return statistics.median(took)

    def _datagrams(self, batch: FlowBatch, n: int) -> tuple[Any, Any]:
        rows = n // V5_RECORDS_PER_DATAGRAM
        records = np.zeros(n, V5_RECORD)
        for field, column in _COLUMNS.items():
            kind = V5_RECORD[field].newbyteorder("=")
            records[field] = batch.column(column)[:n].astype(kind)
        heads = np.zeros(rows, V5_HEADER)
        heads["version"], heads["count"] = 5, V5_RECORDS_PER_DATAGRAM
        heads["seconds"] = batch.column("collection_time_milliseconds")[:n:30] // 1000
        heads["sequence"] = self._sequence + np.arange(rows) * V5_RECORDS_PER_DATAGRAM
        self._sequence += n
        body = records.view(np.uint8).reshape(rows, -1)
        octets = np.hstack([heads.view(np.uint8).reshape(rows, -1), body])
        return octets, np.full(rows, octets.shape[1], np.int64)
