"""Every capture gives the records of its truth file, on the command line and in the flow log.

The captures in `tests/data/captures` may be copied; those in the folder that the environment
variable NETFLOW_CORPUS names are tested where they lie.
"""

from __future__ import annotations

import importlib.util
import ipaddress
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
from typing import Any, NamedTuple

import numpy as np
import pytest

from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.collector.captures import CaptureReader
from appliance.collector.exporters import ExporterLimits, ExporterStates
from appliance.decoding.inspection import inspected_records
from appliance.decoding.results import DecodeResult
from appliance.flowlog import (
    Cursor,
    FlowLogLimits,
    FlowLogReader,
    FlowLogWriter,
    batch_from_rows,
)
from appliance.wire.block import Datagram, block_of
from appliance.wire.message import versions
from tests.decoding.building import decoders, multiset, rows_of

CAPTURES = Path(__file__).parents[1] / "data" / "captures"
OTHERS = os.environ.get("NETFLOW_CORPUS")
FOLDERS = [CAPTURES, *([Path(OTHERS)] if OTHERS else [])]
CASES = sorted({path.stem: path for folder in FOLDERS for path in folder.glob("*.pcap")}.values())

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
    lines.write_text(printed.out, encoding="utf-8")
    check(capture, lines)
    wanted = truth(capture)["counts"]
    assert bool(re.search(r"refused|unsupported", printed.err)) == bool(wanted["errors"])
    told = dict(re.findall(r"(sets [a-z ]+?) (\d+)", printed.err))
    if not wanted["errors"]:
        without, late = (
            int(told.get(f"sets {w}", 0)) for w in ("without template", "decoded late")
        )
        assert without <= wanted["undecodableSets"] <= without + late
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
    results = list(_results([datagrams]))
    printed = [record for result in results for record in inspected_records(result)]
    rows = [row for result in results for row in _forward(result)]
    assert len(printed) == len(rows)
    boots = defaultdict(list)
    for record in printed:
        if record["_kind"] == "options" and "systemInitTimeMilliseconds" in record:
            boots[record["_exporter"]].append(record["systemInitTimeMilliseconds"])
    with (tmp_path / "decoded.jsonl").open("w", encoding="utf-8") as file:
        for record, row in zip(printed, rows, strict=True):
            key = (record["_version"], record["_sequence"], record["_exportTime"])
            _compare(record, row, _Clock(uptimes.get(key, 0), boots[record["_exporter"]]))
            file.write(json.dumps(record | _derived(record, row)) + "\n")
    check(capture, tmp_path / "decoded.jsonl", "--derived")
    assert multiset(_reverse(results)) == multiset(
        found for record in printed for found in _expected_reverse(record)
    )


@each_case
def test_decode_when_as_one_block_then_the_same_records_as_one_by_one(capture: Path) -> None:
    datagrams = [found.datagram for found in CaptureReader(capture, {2055, 4739})]
    block, single = list(_results([datagrams])), list(_results([[d] for d in datagrams]))
    as_text = [
        Counter(json.dumps(record) for result in results for record in inspected_records(result))
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
    batches = [batch for result in _results([datagrams]) for batch in result.batches]
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
        for version in sorted(set(found.tolist()) & set(registered)):
            part = block.take(np.flatnonzero(found == version))
            result = registered[version].decode(part, states, 0)
            states.commit(result, 0)
            yield result


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


# What a row must hold, from the printed fields: the rules of the quirks, written a second time.


def _first(record: dict[str, Any], *names: str) -> Any:
    for name in names:
        value = record.get(name)
        if value is not None:
            return value[0] if isinstance(value, list) else value
    return None


class _Clock(NamedTuple):
    """The uptime in the header, and the boot times that options records told (IPFIX)."""

    uptime: int
    boots: list[int]


def _compare(record: dict[str, Any], row: dict[str, Any], clock: _Clock) -> None:
    expected = _expected(record)
    if record["_kind"] == "flow":
        expected |= _expected_flow(record)
        boots = [None, *clock.boots]
        assert _times(row) in [_expected_times(record, clock.uptime, boot) for boot in boots]
    assert {name: row.get(name) for name in expected} == expected, record


NUMBERS = {
    "protocol_identifier": ("protocolIdentifier",),
    "ip_class_of_service": ("ipClassOfService",),
    "tcp_control_bits": ("tcpControlBits",),
    "ingress_interface": ("ingressInterface", "ingressPhysicalInterface"),
    "egress_interface": ("egressInterface", "egressPhysicalInterface"),
    "bgp_source_as_number": ("bgpSourceAsNumber",),
    "bgp_destination_as_number": ("bgpDestinationAsNumber",),
    "forwarding_status": ("forwardingStatus",),
    "flow_end_reason": ("flowEndReason",),
    "vlan_id": ("vlanId", "dot1qVlanId"),
    "post_vlan_id": ("postVlanId", "postDot1qVlanId"),
    "ingress_vrf_id": ("ingressVRFID",),
    "egress_vrf_id": ("egressVRFID",),
    "ip_version": ("ipVersion",),
    "flow_label_ipv6": ("flowLabelIPv6",),
    "flow_id": ("flowId",),
    "nat_event": ("natEvent",),
    "post_napt_source_transport_port": ("postNAPTSourceTransportPort",),
    "post_napt_destination_transport_port": ("postNAPTDestinationTransportPort",),
}
MACS = {
    "source_mac_address": ("sourceMacAddress", "postSourceMacAddress"),
    "destination_mac_address": ("destinationMacAddress", "postDestinationMacAddress"),
}


def _expected(record: dict[str, Any]) -> dict[str, Any]:
    from appliance.flows import COLUMN

    found: dict[str, Any] = {
        "exporter_address": record["_exporter"],
        "observation_domain_id": record["_domain"] or None,
        "export_protocol_version": record["_version"],
    }
    for column, names in NUMBERS.items():
        bits = 8 * COLUMN[column].dtype.itemsize
        value = _first(record, *names)
        if isinstance(value, str):
            value = int(value, 16)
        found[column] = None if value is None else value % (1 << bits) or None
    for column, names in MACS.items():
        mac = _first(record, *names)
        found[column] = None if mac is None else int(mac.replace(":", ""), 16) or None
    application = _first(record, "applicationId")
    if application is not None:
        octets = bytes.fromhex(application)
        selector = int.from_bytes(octets[1:], "big")
        found["application_id"] = (octets[0] << 56 | selector) or None
    return found


def _expected_flow(record: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for end in ("source", "destination"):
        six, four = _first(record, f"{end}IPv6Address"), _first(record, f"{end}IPv4Address")
        version = _first(record, "ipVersion")
        if six is not None and four is not None:
            is_v6 = version == 6 if version in (4, 6) else int(ipaddress.ip_address(six)) > 0
            address = six if is_v6 else four
        else:
            is_v6, address = four is None, six or four
        found[f"{end}_address"] = None if address == "::" else address
        lengths = [
            _first(record, f"{end}IPv{v}PrefixLength") for v in ((6, 4) if is_v6 else (4, 6))
        ]
        found[f"{end}_prefix_length"] = next((n for n in lengths if n is not None), None) or None
        ports = [_first(record, f"{kind}{end.title()}Port") for kind in ("udp", "tcp")]
        ports.insert(0, _first(record, f"{end}TransportPort"))
        found[f"{end}_transport_port"] = next((port for port in ports if port), None)
    octets = ("octetDeltaCount", "postOctetDeltaCount", "layer2OctetDeltaCount")
    packets = ("packetDeltaCount", "postPacketDeltaCount", "packetTotalCount", "initiatorPackets")
    found["octet_delta_count"] = (
        _first(record, *octets, "octetTotalCount", "initiatorOctets") or None
    )
    found["packet_delta_count"] = _first(record, *packets) or None
    direction = _first(record, "flowDirection")
    if direction in (0, 1):
        found["flow_direction"] = direction
    return found


def _expected_times(record: dict[str, Any], uptime: int, boot: int | None) -> tuple[int, int]:
    start = _start_or_end(record, "flowStart", uptime, boot)
    end = _start_or_end(record, "flowEnd", uptime, boot)
    observed = _first(
        record,
        *(f"observationTime{unit}" for unit in ("Milliseconds", "Microseconds", "Nanoseconds")),
        "observationTimeSeconds",
    )
    duration = _first(record, "flowDurationMilliseconds") or 0
    if start is None and end is None:
        end = record["_exportTime"] if observed is None else observed
        start = end - duration
    elif end is None:
        end = start + duration if duration or observed is None else observed
    elif start is None:
        start = end - duration
    return min(start, end), max(start, end)


def _times(row: dict[str, Any]) -> tuple[int, int]:
    return row.get("flow_start_milliseconds", 0), row.get("flow_end_milliseconds", 0)


def _start_or_end(record: dict[str, Any], name: str, uptime: int, told: int | None) -> int | None:
    units = ("Milliseconds", "Microseconds", "Nanoseconds", "Seconds")
    absolute = _first(record, *(f"{name}{unit}" for unit in units))
    at = _first(record, f"{name}SysUpTime")
    if absolute is not None or at is None:
        return absolute
    boot = _first(record, "systemInitTimeMilliseconds")
    if boot is None and record["_version"] == 10:
        boot = told
    if boot is not None:
        return int(boot + at)
    if record["_version"] == 10:
        return int(record["_exportTime"])
    behind = (uptime - at) % (1 << 32)
    return int(record["_exportTime"] - (behind - (1 << 32) if behind >= 1 << 31 else behind))


def _derived(record: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """Return what the checker compares as derived from uptimes, where it has an opinion."""
    start, end = _times(row)
    if not {"flowStartSysUpTime", "flowEndSysUpTime"} <= set(record) or record["_version"] == 10:
        return {}
    swapped = record["flowStartSysUpTime"] > record["flowEndSysUpTime"]
    if swapped or end > record["_exportTime"] + 86_400_000:
        return {}
    return {"flowStartMilliseconds": start, "flowEndMilliseconds": end}


REVERSED = ("source_address", "destination_address", "octet_delta_count", "packet_delta_count")


def _reverse(results: list[DecodeResult]) -> Iterator[dict[str, Any]]:
    for result in results:
        for batch in result.batches:
            if "reverse" in batch.columns:
                for row in rows_of(batch):
                    yield {name: row[name] for name in REVERSED if name in row}


def _expected_reverse(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if record["_kind"] != "flow":
        return
    octets = _first(record, "reverseOctetDeltaCount", "reverseOctetTotalCount")
    packets = _first(record, "reversePacketDeltaCount", "reversePacketTotalCount")
    if octets is None and packets is None and "initiatorOctets" in record:
        octets, packets = _first(record, "responderOctets"), _first(record, "responderPackets")
    if octets is None and packets is None and "octetDeltaCount" in record:
        octets = _first(record, "postOctetDeltaCount")
        packets = _first(record, "postPacketDeltaCount")
    if not (octets if packets is None else packets):
        return
    forward = _expected_flow(record)
    row = {
        "source_address": forward["destination_address"],
        "destination_address": forward["source_address"],
        "octet_delta_count": octets,
        "packet_delta_count": packets,
    }
    yield {name: value for name, value in row.items() if value}
