"""`appliance top`: groups, order, the rest, and what is said when the question is wrong."""

from __future__ import annotations

import json
import os
import pty
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.cli import waiting
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flows import V4_MAPPED, FlowBatch
from appliance.query.dimensions import DIMENSIONS


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A flow log: 10.0.0.n sends n flows of 10 octets each, n from 1 to 5, sampled 1 in 100."""
    path = tmp_path / "flowlog"
    writer = FlowLogWriter(path, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    source = np.repeat(np.arange(1, 6), np.arange(1, 6)).astype("u8")
    columns = {
        "source_address_lo": source | V4_MAPPED | 0x0A000000,
        "protocol_identifier": np.full(15, 17, "u1"),
        "source_transport_port": np.full(15, 40000, "u2"),
        "destination_transport_port": np.full(15, 53, "u2"),
        "octet_delta_count": np.full(15, 10, "u8"),
        "packet_delta_count": np.full(15, 1, "u8"),
        "sampling_rate": np.full(15, 100.0),
    }
    writer.append(FlowBatch(15, columns))
    writer.flush({}, 1)
    writer.close(1)
    return path


def rows(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    given = ["top", *(str(argument) for argument in arguments), "--format", "json"]
    assert run_command_line(group, given) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_top_when_asked_then_biggest_first_and_the_rest(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows(capsys, "--directory", directory, "--limit", 2, "--other")
    assert found == [
        {"source_address": "10.0.0.5", "octets": 5000, "packets": 500, "flows": 5},
        {"source_address": "10.0.0.4", "octets": 4000, "packets": 400, "flows": 4},
        {"octets": 6000, "packets": 600, "flows": 6},
    ]


def test_top_when_raw_and_filtered_then_as_received(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows(capsys, "service", "source=10.0.0.3", "--raw", "--directory", directory)
    assert found == [
        {"protocol_identifier": 17, "service_port": 53, "octets": 30, "packets": 3, "flows": 3}
    ]
    assert rows(capsys, "source=10.0.0.3", "--directory", directory)[0]["flows"] == 3


@pytest.mark.parametrize("dimension", list(DIMENSIONS))
@pytest.mark.parametrize("order", ["octets", "packets", "flows"])
def test_top_when_any_dimension_and_order_then_everything_is_counted(
    directory: Path, capsys: pytest.CaptureFixture[str], dimension: str, order: str
) -> None:
    found = rows(capsys, dimension, "--order", order, "--directory", directory)
    # Each has two ports, one on either side.
    assert sum(row["flows"] for row in found) == (30 if dimension == "port" else 15)


def test_top_when_dimension_is_unknown_then_one_sentence(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(group, ["top", "nobody", "--directory", str(directory)]) == 2
    assert "cannot group by 'nobody', expected source" in capsys.readouterr().err


def test_top_when_several_dimensions_and_prefixes_then_grouped_by_all(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows(capsys, "source/30", "destination_port", "--directory", directory)
    assert [(row["source_prefix"], row["destination_transport_port"]) for row in found] == [
        ("10.0.0.4/30", 53),
        ("10.0.0.0/30", 53),
    ]
    assert [row["flows"] for row in found] == [9, 6]
    four = ("top", "source", "destination", "port", "protocol", "--directory", str(directory))
    assert run_command_line(group, list(four)) == 2
    assert "at most 3 dimensions" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("source", "src", "ip", "10.0.0.3", "and", "dst", "port", "53"),
        ("source", "source=10.0.0.3", "port=53"),
        ("source", "src ip 10.0.0.3", "port=53"),
        ("src", "ip", "10.0.0.3"),
        ("source", "not", "src", "ip", "in", "[10.0.0.1", "10.0.0.2", "10.0.0.4", "10.0.0.5]"),
    ],
)
def test_top_when_a_filter_is_typed_in_any_words_then_understood(
    directory: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    (row,) = rows(capsys, *words, "--directory", directory)
    assert (row["source_address"], row["flows"]) == ("10.0.0.3", 3)


def test_top_when_words_are_no_filter_then_the_place_is_named(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("top", "source", "dst", "port", "htp", "--directory", directory) == 2
    assert "column 10: expected a port" in capsys.readouterr().err


def test_top_when_measures_and_rates_are_asked_then_shown(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["protocol", "--measure", "sources", "--measure", "mean_packet_size", "--rate"]
    bounds = ["--from", "0", "--to", "8", "--directory", directory]
    assert run("top", *words, *bounds) == 2
    assert "a rate needs a range" in capsys.readouterr().err
    bounds[1] = "1969-12-31T23:59:59Z"
    found = rows(capsys, "protocol", "--order", "sources", "--directory", directory)
    assert found == [
        {"protocol_identifier": 17, "octets": 15000, "packets": 1500, "flows": 15, "sources": 5}
    ]


def run(*words: object) -> int:
    return run_command_line(group, [str(word) for word in words])


def test_top_when_a_table_then_units_share_other_and_total(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("top", "--directory", directory, "--limit", 2, "--other") == 0
    assert capsys.readouterr().out.splitlines() == [
        "source     octets   share  packets  flows",
        "10.0.0.5   5.0 kB   33.3%      500      5",
        "10.0.0.4   4.0 kB   26.7%      400      4",
        "other      6.0 kB   40.0%      600      6",
        "total     15.0 kB  100.0%    1.5 k     15",
    ]


def test_top_when_raw_numbers_then_plain_and_the_share_beside_the_order(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("top", "port", "--order", "flows", "--raw-numbers", "--directory", directory)
    assert run(*words) == 0
    assert capsys.readouterr().out.splitlines() == [
        "transport port  octets  packets  flows   share",
        "            53   15000     1500     15  100.0%",
        "         40000   15000     1500     15  100.0%",
        "         total   15000     1500     15  100.0%",
    ]


def test_top_when_nothing_matches_then_no_row_and_the_reason(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("top", "source=192.0.2.1", "--directory", directory) == 0
    printed = capsys.readouterr()
    assert printed.out == "source  octets  share  packets  flows\n"
    assert printed.err.startswith("appliance: ")


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """A flow log with an application and an interface that its options records name, twice."""
    path = tmp_path / "named"
    writer = FlowLogWriter(path, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    http, exporter = np.uint64(3 << 56 | 80), np.uint64(V4_MAPPED | 0xC0000201)
    for at_ms, name in ((1000, "old"), (2000, "we\x1b[31mb")):
        names = {
            "collection_time_milliseconds": np.full(2, at_ms, "i8"),
            "exporter_address_lo": np.full(2, exporter),
            "application_id": np.array([http, 0], "u8"),
            "application_name": np.array([name, ""], object),
            "ingress_interface": np.array([0, 7], "u4"),
            "interface_name": np.array(["", "ge-0/0/7"], object),
            "interface_description": np.array(["", "uplink, very long " * 3], object),
        }
        writer.append(FlowBatch(2, names, options=True))
    flows = {
        "collection_time_milliseconds": np.full(2, 10**12, "i8"),
        "exporter_address_lo": np.full(2, exporter),
        "application_id": np.array([http, 0], "u8"),
        "ingress_interface": np.full(2, 7, "u4"),
        "octet_delta_count": np.array([1, 2], "u8"),
    }
    writer.append(FlowBatch(2, flows))
    writer.flush({}, 1)
    writer.close(1)
    return path


def test_top_when_options_records_name_an_application_then_the_newest_name(
    named: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows(capsys, "application", "--from", "999999999", "--directory", named)
    assert [row.get("application_name") for row in found] == [None, "we\x1b[31mb"]
    assert run("top", "application", "--directory", named) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:3]] == [
        ["(none)", "2", "B", "66.7%", "0", "1"],
        ["3:80", "we\\x1b[31mb", "1", "B", "33.3%", "0", "1"],
    ]


@pytest.mark.parametrize(
    ("words", "octets"),
    [
        (('app "OLD"',), 1),
        (("in", "if", "GE-0/0/7"), 3),
        (('in if "ge-0/0/7" and not app old',), 2),
        (('app = "old"', "in if 7"), 1),
    ],
)
def test_top_when_a_filter_has_names_of_options_records_then_their_numbers_count(
    named: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], octets: int
) -> None:
    found = rows(capsys, "protocol", *words, "--directory", named)
    assert sum(row["octets"] for row in found) == octets
    assert run("top", "protocol", 'app "unheard of"', "--directory", named) == 2
    assert "expected the number or name of an application" in capsys.readouterr().err


@pytest.mark.parametrize("dimension", ["interface", "ingress_interface"])
def test_top_when_options_records_name_an_interface_then_name_and_description(
    named: Path, capsys: pytest.CaptureFixture[str], dimension: str
) -> None:
    (row,) = rows(capsys, dimension, "--directory", named)
    assert (row[dimension], row["interface_name"]) == (7, "ge-0/0/7")
    assert row["interface_description"].startswith("uplink, very long uplink")
    assert run("top", dimension, "--directory", named) == 0
    assert "ge-0/0/7" in capsys.readouterr().out


def test_top_when_nothing_tells_the_protocol_then_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = FlowLogWriter(tmp_path, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    octets = {"octet_delta_count": np.array([30, 40], "u8")}
    writer.append(FlowBatch(2, octets))
    writer.append(FlowBatch(2, {**octets, "protocol_identifier": np.array([255, 0], "u1")}))
    writer.flush({}, 1)
    writer.close(1)
    assert run_command_line(group, ["top", "protocol", "--directory", str(tmp_path)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:3] for line in lines[1:3]] == [["unknown", "100", "B"], ["hopopt", "40", "B"]]
    assert [row["octets"] for row in rows(capsys, "protocol=unknown", "--directory", tmp_path)] == [
        100
    ]
    assert [
        row["octets"] for row in rows(capsys, "protocol!=unknown", "--directory", tmp_path)
    ] == [40]


@pytest.mark.parametrize(("quiet_seconds", "is_shown"), [(0.0, True), (60.0, False)])
def test_top_when_it_takes_long_on_a_terminal_then_says_how_far_it_is(
    directory: Path, monkeypatch: pytest.MonkeyPatch, quiet_seconds: float, is_shown: bool
) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setattr(waiting, "QUIET_SECONDS", quiet_seconds)
    with os.fdopen(theirs, "w") as terminal, os.fdopen(ours, "rb", buffering=0) as reader:
        with monkeypatch.context() as patched:
            patched.setattr("sys.stderr", terminal)
            assert run_command_line(group, ["top", "--directory", str(directory)]) == 0
        terminal.write("end\n")
        terminal.flush()
        written = b""
        while b"end" not in written:
            written += reader.read(4096)
    assert (b"% read" in written) is is_shown


@pytest.mark.parametrize("words", [("top", "source"), ("series", "--last", "1h")])
def test_dedupe_when_asked_then_the_rule_is_below_the_table(
    directory: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    arguments = [*words, "--directory", str(directory), "--dedupe", "nearest"]
    assert run_command_line(group, arguments) == 0
    assert "each flow once: of the same addresses" in capsys.readouterr().out
