"""Nothing of a real address on the disk, whatever carries it in a record and how it is stored."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from appliance.flowlog import FlowLogReader
from appliance.flows import address_halves
from appliance.plugins.anonymise.key_files import write_new_key
from tests.collector.running import RunningCollector
from tests.decoding.building import a_set, ipfix, template

PATIENCE_SECONDS = 40.0
N_RECORDS = 40

V4 = {
    name: f"198.51.{number}.77"
    for number, name in enumerate(("source", "destination", "nat", "nat_to", "hop", "bgp"), 101)
}
V6 = {name: f"2001:db8:dead:{number:x}::77" for number, name in enumerate(V4, 0xBE01)}
FRAME = bytes(14) + bytes([0x45]) + bytes(11) + bytes([198, 51, 201, 77, 198, 51, 202, 77])
IN_FRAME = ("198.51.201.77", "198.51.202.77")
PREFIX = "198.51.203.0"
MAC = bytes.fromhex("02deadbeef01")

V4_FIELDS = [(8, 4), (12, 4), (225, 4), (226, 4), (15, 4), (18, 4)]
V6_FIELDS = [(27, 16), (28, 16), (281, 16), (282, 16), (62, 16), (63, 16)]
MORE = [(56, 6), (44, 4), (315, len(FRAME)), (1, 8), (2, 8)]
RAW = "[sourceIPv4Address, sourceIPv4Prefix, sourceIPv6Address, sourceMacAddress, 315]"


def octets_of(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def messages() -> tuple[bytes, bytes]:
    """Return data whose templates are unknown, and the templates that come after."""
    more = MAC + octets_of(PREFIX) + FRAME + struct.pack(">QQ", 1500, 1)
    four = b"".join(map(octets_of, V4.values())) + more
    six = b"".join(map(octets_of, V6.values())) + more
    data = ipfix(a_set(300, four * N_RECORDS), a_set(301, six * (N_RECORDS // 4)))
    known = ipfix(a_set(2, template(300, *V4_FIELDS, *MORE) + template(301, *V6_FIELDS, *MORE)))
    return data, known


def forms(text: str) -> set[bytes]:
    """Return how an address may stand in a file: octets in either order, text, halves, numbers."""
    octets, (hi, lo) = octets_of(text), address_halves(text)
    found = {octets, octets[::-1], text.encode()}
    if len(octets) == 16:
        found |= {octets[:8][::-1] + octets[8:][::-1], octets[:8], octets[:8][::-1]}
    # A value that all rows of a journal have stands there once, as JSON.
    return found | {str(hi if hi else lo).encode()}


SECRETS = {
    form: text for text in (*V4.values(), *V6.values(), *IN_FRAME, PREFIX) for form in forms(text)
} | {MAC: "MAC", MAC[::-1]: "MAC"}


def secrets_in(octets: bytes) -> set[str]:
    return {text for form, text in SECRETS.items() if form in octets}


def found_on_disk(folder: Path) -> set[str]:
    """Return what can be found in all files, those of Parquet decompressed as well."""
    found: set[str] = set()
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                found |= secrets_in(path.read_bytes())
                if path.suffix == ".parquet":
                    table = parquet.read_table(path).unify_dictionaries().combine_chunks()
                    found |= secrets_in(decompressed(table))
    for options in (False, True):
        for rows in FlowLogReader(folder / "flowlog").snapshot(options).rows:
            found |= secrets_in(decompressed(rows.table()))
    return found


def decompressed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningCollector]:
    made = RunningCollector(tmp_path, f"  raw_elements: {RAW}\n")
    yield made
    made.close()


def send_all(running: RunningCollector) -> None:
    data, known = messages()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as exporter:
        exporter.sendto(data, running.target)
        running.wait_for("datagrams", 1)
        exporter.sendto(known, running.target)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while running.status()["log"]["records_written"] < N_RECORDS + N_RECORDS // 4:
        assert time.monotonic() < deadline, running.status()["counts"]
        threading.Event().wait(0.05)
    assert not running.status()["plugin_failures"]


@pytest.mark.slow
def test_disk_when_everything_is_anonymised_then_no_real_address_anywhere(
    running: RunningCollector,
) -> None:
    write_new_key(running.conf / "key")
    file = running.conf / "appliance.yml"
    file.write_text(file.read_text() + "anonymise: {networks: all, key_file: key}\n")
    running.start()
    send_all(running)
    assert found_on_disk(running.data) == set()
    assert running.stop() == 0
    assert found_on_disk(running.data) == set()
    assert running.rows() == N_RECORDS + N_RECORDS // 4


@pytest.mark.slow
def test_disk_when_nothing_is_anonymised_then_the_search_finds_every_address(
    running: RunningCollector,
) -> None:
    running.start()
    send_all(running)
    in_journal = found_on_disk(running.data)
    assert running.stop() == 0
    assert set(SECRETS.values()) - (in_journal | found_on_disk(running.data)) == set()
