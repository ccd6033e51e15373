"""Every capture gives the records of its truth file, on the command line and in the flow log.

The captures in `tests/data/captures` may be copied; those in the folder that the environment
variable NETFLOW_CORPUS names are tested where they lie.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import struct
import subprocess
import sys
import types
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.collector.exporter_state import ExporterLimits
from appliance.collector.exporters import ExporterStates
from appliance.decoding.inspection import inspect_records
from appliance.decoding.messages.block import Datagram, block_of
from appliance.decoding.messages.headers import versions
from appliance.decoding.results import DecodeResult
from appliance.flowlog import (
    Cursor,
    FlowLogLimits,
    FlowLogReader,
    FlowLogWriter,
    batch_from_rows,
)
from appliance.traffic.captures import CaptureReader, blocks_of
from tests.decoding.building import decoders, multiset, rows_of
from tests.decoding.expectations import Clock, compare, derived, expected_reverse

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
OTHERS = os.environ.get("NETFLOW_CORPUS")
FOLDERS = [CAPTURES, *([Path(OTHERS)] if OTHERS else [])]
CASES = sorted({path.stem: path for folder in FOLDERS for path in folder.glob("*.pcap")}.values())

OF_CORPUS = (5, 9, 10)
"""The versions that the truth files know; datagrams of others are errors to them."""

each_case = pytest.mark.parametrize("capture", CASES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def checker() -> types.ModuleType:
    """Import the corpus's own checker."""
    spec = importlib.util.spec_from_file_location("corpus_check", CAPTURES / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def check(checker: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Compare records in a file with a capture's truth."""

    def compare(capture: Path, decoded: Path, *options: str) -> None:
        with warnings.catch_warnings():
            # The checker leaves closing files to the interpreter.
            warnings.simplefilter("ignore", ResourceWarning)
            code = checker.main([str(capture.with_suffix(".json")), str(decoded), *options])
        assert code == 0, capsys.readouterr().out

    return compare


def truth(capture: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capture.with_suffix(".json").read_text(encoding="utf-8"))
    return found


def test_captures_when_counted_then_a_good_number_of_each_version() -> None:
    names = Counter(path.stem.split("_")[0] for path in CASES)
    assert names["v5"] >= 6
    assert names["v9"] >= 25
    assert names["ipfix"] >= 19


@each_case
def test_decode_when_run_on_a_capture_then_the_checker_is_content(
    capture: Path, check: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run_command_line(group, ["decode", str(capture), "--json"]) == 0
    printed = capsys.readouterr()
    lines = tmp_path / "decoded.jsonl"
    records = [json.loads(line) for line in printed.out.splitlines()]
    of_corpus = (json.dumps(record) for record in records if record["_version"] in OF_CORPUS)
    lines.write_text("".join(f"{line}\n" for line in of_corpus), encoding="utf-8")
    check(capture, lines)
    wanted = truth(capture)["counts"]
    if set(truth(capture)["versions"]) <= {str(version) for version in OF_CORPUS}:
        assert bool(re.search(r"refused|unsupported", printed.err)) == bool(wanted["errors"])
    told = dict(re.findall(r"(sets [a-z ]+?) (\d+)", printed.err))
    if not wanted["errors"]:
        without, late = (
            int(told.get(f"sets {w}", 0)) for w in ("without template", "decoded late")
        )
        # Some of those that were late had waited.
        assert max(0, without - late) <= wanted["undecodableSets"] <= without + late
    assert f"{wanted['datagrams']} datagrams" in printed.err


def test_decode_when_run_as_a_program_then_the_checker_is_content(
    check: Callable[..., None], tmp_path: Path
) -> None:
    capture = CAPTURES / "v9_streamcore_many-templates.pcap"
    lines = tmp_path / "decoded.jsonl"
    command = [sys.executable, "-m", "appliance", "decode", str(capture), "--json"]
    with lines.open("wb") as file:
        subprocess.run(command, stdout=file, check=True, cwd=Path(__file__).parents[2], timeout=60)
    check(capture, lines)


@each_case
def test_columns_when_decoded_as_a_block_then_what_decode_prints(
    capture: Path, check: Callable[..., None], tmp_path: Path
) -> None:
    datagrams = [found.datagram for found in CaptureReader(capture, {2055, 4739})]
    uptimes = {_key(d): _uptime(d) for d in datagrams}
    results = list(_results(list(blocks_of(datagrams))))
    printed = [record for result in results for record in inspect_records(result)]
    rows = [row for result in results for row in _forward(result)]
    assert len(printed) == len(rows)
    boots, named = defaultdict(list), defaultdict(list)
    latest, sets = defaultdict(int), _sets(results)
    for record, data_set in zip(printed, sets, strict=True):
        at = record.get("flowEndSysUpTime", record.get("flowStartSysUpTime", 0))
        latest[data_set] = max(latest[data_set], at)
        if record["_kind"] == "options" and "systemInitTimeMilliseconds" in record:
            boots[record["_exporter"]].append(record["systemInitTimeMilliseconds"])
        if record["_kind"] == "options" and "exporterIPv4Address" in record:
            named[record["_domain"]].append(record["exporterIPv4Address"])
    with (tmp_path / "decoded.jsonl").open("w", encoding="utf-8") as file:
        for record, row, data_set in zip(printed, rows, sets, strict=True):
            key = (record["_version"], record["_sequence"], record["_exportTime"])
            uptime = uptimes.get(key, 0)
            if record["_version"] == 10:
                uptime = latest[data_set]
            clock = Clock(uptime, boots[record["_exporter"]])
            compare(record, row, clock, named[record["_domain"]])
            file.write(json.dumps(record | derived(record, row, uptime)) + "\n")
    check(capture, tmp_path / "decoded.jsonl", "--derived")
    assert multiset(_reverse(results)) == multiset(
        found for record in printed for found in expected_reverse(record)
    )


@each_case
def test_decode_when_as_one_block_then_the_same_records_as_one_by_one(capture: Path) -> None:
    datagrams = [found.datagram for found in CaptureReader(capture, {2055, 4739})]
    blocks, singles = list(blocks_of(datagrams)), [[d] for d in datagrams]
    block, single = list(_results(blocks)), list(_results(singles))
    as_text = [
        Counter(json.dumps(record) for result in results for record in inspect_records(result))
        for results in (block, single)
    ]
    assert as_text[0] == as_text[1]
    rows = [
        multiset(row for result in results for batch in result.batches for row in rows_of(batch))
        for results in (block, single)
    ]
    assert rows[0] == rows[1]
    faults = [
        Counter((fault.reason, fault.detail) for result in results for fault in result.faults)
        for results in (block, single)
    ]
    assert faults[0] == faults[1]


@each_case
def test_columns_when_written_to_the_flow_log_then_read_back_equal(
    capture: Path, tmp_path: Path
) -> None:
    datagrams = [found.datagram for found in CaptureReader(capture, {2055, 4739})]
    batches = [batch for result in _results(list(blocks_of(datagrams))) for batch in result.batches]
    limits = FlowLogLimits(minimum_free_octets=0, retention_seconds=0)
    writer = FlowLogWriter(tmp_path, limits)
    writer.start()
    for batch in batches:
        writer.append(batch)
    assert writer.flush({}, 0) == 0
    writer.close(0)
    reader = FlowLogReader(tmp_path)
    for options in (False, True):
        pieces, _ = reader.follow_rows(Cursor(), 10**9, options)
        back = [batch_from_rows(piece, options) for piece in pieces]
        for batch in back:
            batch.datagrams = np.zeros(batch.n_records, np.int64)
        found = multiset(row for batch in back for row in rows_of(batch))
        assert found == multiset(
            _kept(row, options)
            for batch in batches
            if batch.options == options
            for row in rows_of(batch)
        )


def _kept(row: dict[str, Any], options: bool) -> dict[str, Any]:
    """Leave out what the files of flows have no column for."""
    from appliance.flows import COLUMNS

    dropped = {c.name for c in COLUMNS if c.options_only and not options}
    return {name: value for name, value in row.items() if name not in dropped}


def _results(blocks: list[list[Datagram]]) -> Iterator[DecodeResult]:
    states, registered = ExporterStates(ExporterLimits()), decoders()
    for datagrams in blocks:
        block = block_of(datagrams)
        found = versions(block)
        for version in sorted(set(found.tolist()) & set(OF_CORPUS)):
            part = block.take(np.flatnonzero(found == version))
            received_ms = datagrams[-1].received_ms
            result = registered[version].decode(part, states, received_ms)
            states.commit(result, received_ms)
            yield result


def _sets(results: list[DecodeResult]) -> list[tuple[int, int, int]]:
    """Tell, for each row of `_forward`, the Data Set that it came in."""
    return [
        (at, place, data_set)
        for at, result in enumerate(results)
        for place, (batch, group) in enumerate(zip(result.batches, result.groups, strict=True))
        if "reverse" not in batch.columns
        for data_set, n_records in enumerate(group.counts.tolist())
        for _ in range(n_records)
    ]


def _forward(result: DecodeResult) -> Iterator[dict[str, Any]]:
    for batch in result.batches:
        if "reverse" not in batch.columns:
            yield from rows_of(batch)


def _key(datagram: Datagram) -> tuple[int, int, int]:
    """Return version, sequence number and export time (milliseconds)."""
    octets = datagram.payload.ljust(24, b"\0")
    version = int.from_bytes(octets[:2], "big")
    if version == 10:
        seconds, sequence = struct.unpack_from(">II", octets, 4)
        return 10, sequence, seconds * 1000
    seconds, nanoseconds, sequence = struct.unpack_from(">III", octets, 8)
    if version == 9:
        return 9, nanoseconds, seconds * 1000
    return 5, sequence, seconds * 1000 + nanoseconds // 1_000_000


def _uptime(datagram: Datagram) -> int:
    return int.from_bytes(datagram.payload[4:8], "big")


REVERSED = ("source_address", "destination_address", "octet_delta_count", "packet_delta_count")


def _reverse(results: list[DecodeResult]) -> Iterator[dict[str, Any]]:
    for result in results:
        for batch in result.batches:
            if "reverse" in batch.columns:
                for row in rows_of(batch):
                    yield {name: row[name] for name in REVERSED if name in row}
