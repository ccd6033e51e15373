"""Files of IPFIX messages (RFC 5655): read as captures are, whatever octets they hold."""

from __future__ import annotations

import gzip
import json
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.errors import CaptureError
from appliance.flowlog import FlowLogReader, FlowSearch
from appliance.flowlog.questions import FlowQuestion
from appliance.traffic.captures import CaptureReader
from tests.collector.tcp.test_real_exporter import fixbuf_exporter
from tests.decoding.building import (
    BASIC,
    EXPORT_MS,
    a_set,
    basic,
    ipfix,
    ipfix_options,
    template,
)

TEMPLATE = ipfix(a_set(2, template(256, *BASIC)))
DATA = ipfix(a_set(256, basic() + basic("10.0.0.9")))
__all__ = ["fixbuf_exporter"]


@pytest.fixture
def conf(tmp_path: Path) -> str:
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "appliance.yml").write_text("data_directory: ../data\n")
    return f"{folder}/"


def read(path: Path) -> tuple[list[bytes], CaptureReader]:
    reader = CaptureReader(path)
    return [found.datagram.payload for found in reader], reader


def test_file_when_of_messages_then_each_with_the_time_of_its_export(tmp_path: Path):
    path = tmp_path / "flows.ipfix"
    path.write_bytes(TEMPLATE + DATA)
    found = [one.datagram for one in CaptureReader(path)]
    assert [one.payload for one in found] == [TEMPLATE, DATA]
    assert {one.received_ms for one in found} == {EXPORT_MS}


def test_file_when_compressed_then_read_all_the_same(tmp_path: Path):
    path = tmp_path / "flows.ipfix.gz"
    path.write_bytes(gzip.compress(TEMPLATE + DATA))
    assert read(path)[0] == [TEMPLATE, DATA]


@pytest.mark.parametrize("cut", [1, 3, 7, 20])
def test_file_when_cut_then_what_is_whole_and_a_warning(tmp_path: Path, cut: int):
    path = tmp_path / "flows.ipfix"
    path.write_bytes(TEMPLATE + DATA + DATA[:-cut] if cut < 7 else TEMPLATE + DATA + DATA[:cut])
    messages, reader = read(path)
    assert messages == [TEMPLATE, DATA]
    assert reader.warnings == [f"{path}: the file ends early, after 2 whole packets"]


def test_file_when_something_else_follows_then_one_sentence_with_the_place(tmp_path: Path):
    path = tmp_path / "flows.ipfix"
    path.write_bytes(TEMPLATE + b"something else")
    place = f"expected a message at octet {len(TEMPLATE)}, found version 29551"
    with pytest.raises(CaptureError, match=place):
        read(path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=100), min_size=1, max_size=6), st.binary(max_size=40))
def test_file_when_of_any_octets_then_its_whole_messages_or_one_sentence(
    tmp_path: Path, bodies: list[bytes], rest: bytes
):
    path = tmp_path / "any.ipfix"
    messages = [ipfix(body) for body in bodies]
    path.write_bytes(b"".join(messages) + rest)
    found: list[bytes] = []
    with suppress(CaptureError):
        found += (one.datagram.payload for one in CaptureReader(path))
    assert found[: len(messages)] == messages


def test_import_when_of_a_file_of_messages_then_flows_at_their_times_of_that_exporter(
    conf: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    path = tmp_path / "flows.ipfix"
    path.write_bytes(TEMPLATE + DATA + DATA[:-1])
    words = ["-confPath", conf, "import", "--exporter", "192.0.2.7", str(path)]
    assert run_command_line(group, words) == 0
    assert "the file ends early, after 2 whole packets" in capsys.readouterr().err
    search = FlowSearch(tmp_path / "data" / "flowlog")
    rows = search.flows(FlowQuestion(columns=("exporter_address", "source_address"))).to_pylist()
    assert {row["exporter_address"] for row in rows} == {"192.0.2.7"}
    assert len(rows) == 2


def test_import_when_options_records_name_an_exporter_then_its_flows(conf: str, tmp_path: Path):
    told = ipfix(
        a_set(3, ipfix_options(300, 1, (149, 4), (130, 4))),
        a_set(300, bytes(4) + bytes([192, 0, 2, 99])),
    )
    path = tmp_path / "flows.ipfix"
    path.write_bytes(told + TEMPLATE + DATA)
    assert run_command_line(group, ["-confPath", conf, "import", str(path)]) == 0
    search = FlowSearch(tmp_path / "data" / "flowlog")
    rows = search.flows(FlowQuestion(columns=("exporter_address",))).to_pylist()
    assert {row["exporter_address"] for row in rows} == {"192.0.2.99"}


def test_import_when_the_exporter_is_no_address_then_one_sentence(
    conf: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    words = ["-confPath", conf, "import", "--exporter", "router", str(tmp_path / "x")]
    assert run_command_line(group, words) == 2
    assert "expected an IPv4 or IPv6 address, found 'router'" in capsys.readouterr().err


def test_import_when_libfixbuf_wrote_the_file_then_every_flow(
    conf: str, tmp_path: Path, fixbuf_exporter: Path
):
    path = tmp_path / "fixbuf.ipfix"
    subprocess.run([fixbuf_exporter, "file", str(path), "5000"], check=True)
    assert run_command_line(group, ["-confPath", conf, "import", str(path)]) == 0
    snapshot = FlowLogReader(tmp_path / "data" / "flowlog").snapshot(False)
    assert sum(rows.n_rows for rows in snapshot.rows) == 5000


def test_decode_when_of_a_file_of_messages_then_its_records(
    conf: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    path = tmp_path / "flows.ipfix"
    path.write_bytes(TEMPLATE + DATA + b"\0\x0a")
    assert run_command_line(group, ["-confPath", conf, "decode", str(path)]) == 0
    out, err = capsys.readouterr()
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["sourceIPv4Address"] for record in records] == ["10.0.0.1", "10.0.0.9"]
    assert "the file ends early" in err
