"""`appliance exporters`, and what `top` and `flows` say when they have nothing to show."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.accounts.commands import accounts_of
from appliance.app import open_app
from appliance.cli.main import group
from appliance.cli.nothing import reasons_for_nothing
from appliance.cli.options import run_command_line
from appliance.collector.exporter_rows import exporter_rows
from appliance.collector.sessions import SILENCE_MS
from appliance.collector.status import exporter_facts, write_status
from appliance.decoding.messages.block import Datagram
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flows import address_halves
from appliance.plugins.rollups.configuration import SETTINGS
from appliance.plugins.rollups.store import SqlStore
from appliance.settings.file import SettingsFile
from tests.decoding.building import (
    BASIC,
    IPFIX,
    RECEIVED_MS,
    V9,
    Decoded,
    a_set,
    an_app,
    basic,
    datagram,
    decode,
    number,
    template,
    v4,
    v5,
    v5_record,
)
from tests.decoding.protocols import one_option
from tests.decoding.test_sessions import captured

SECOND_MS = 1000


@pytest.fixture
def collected(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes the data directory of a collector that received datagrams."""

    def collect(*sent: Datagram, now_ms: int = RECEIVED_MS, **others: Any) -> Path:
        conf, data = tmp_path / "conf", tmp_path / "data"
        conf.mkdir(exist_ok=True)
        data.mkdir(exist_ok=True)
        (conf / "appliance.yml").write_text("data_directory: ../data\n")
        status = {
            "time_ms": int(time.time() * 1000),
            "listen": ["[::]:2055"],
            "datagrams": len(sent),
            # As if the datagrams had come just now.
            "exporters": exporter_facts(decode(*sent).states, now_ms) if sent else {},
        }
        for exporter in status["exporters"].values():
            for session in exporter["sessions"].values():
                session["last_seen_ms"] += status["time_ms"] - now_ms
        write_status(data / "collector.json", status | others)
        return conf

    return collect


def run(conf: Path, *arguments: str) -> int:
    return run_command_line(group, ["--conf-path", f"{conf}/", *arguments])


def shown(
    capsys: pytest.CaptureFixture[str], conf: Path, *arguments: str
) -> tuple[list[list[str]], str]:
    """Return the words of each line of the table, and what was said beside it."""
    assert run(conf, "exporters", *arguments) == 0
    out, err = capsys.readouterr()
    return [line.split() for line in out.splitlines()], err


def test_exporters_when_two_share_an_address_then_two_lines_with_their_ports(
    collected: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sent = captured("v9_nat_sampling.pcap")
    lines, err = shown(capsys, collected(*sent, now_ms=sent[-1].received_ms))
    assert [line[0] for line in lines] == ["exporter", "192.0.2.15:4001", "192.0.2.15:4002"]
    assert [line[-2:] for line in lines[1:]] == [["100", "told"], ["1000", "told"]]
    assert err == ""


def test_exporters_when_one_restarted_with_another_port_then_one_line_without_port(
    collected: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    message = V9.message(V9.templates(template(300, *BASIC)), a_set(300, basic()))
    sent = [datagram(message, port=2000), datagram(message, port=2001)]
    states = decode(*sent, one_by_one=True).states
    (state,) = states.exporters.values()
    state.sessions[2001].first_ms += 1
    state.sessions[2001].last_ms += 1
    conf = collected(exporters=exporter_facts(states, RECEIVED_MS))
    lines, _ = shown(capsys, conf)
    assert [line[0] for line in lines[1:]] == ["192.0.2.10"]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (V9.message(a_set(300, basic())), ("waiting", "v9", None, 1, 1, "assumed")),
        (v5(v5_record()), ("active", "v5", 0, 0, 1, "assumed")),
        (v5(v5_record(), sampling=100), ("active", "v5", 0, 0, 100, "exporter, in its headers")),
        (
            IPFIX.message(one_option(IPFIX, (34, number(50, 4)))),
            ("active", "IPFIX", 0, 0, 50, "exporter"),
        ),
    ],
)
def test_exporters_when_in_json_then_state_version_loss_and_sampling(
    collected: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    sent: bytes,
    expected: tuple[Any, ...],
) -> None:
    assert run(collected(datagram(sent)), "exporters", "--format", "json") == 0
    row = json.loads(capsys.readouterr().out)
    state, protocol, lost, waiting, sampling, source = expected
    assert (row["exporter"], row["state"], row["protocol"]) == ("192.0.2.10", state, protocol)
    assert row["waiting"] == waiting
    assert (row.get("sampling"), row["sampling_source"]) == (sampling, source)
    assert lost is None or row["lost_percent"] == lost
    assert "port" not in row


def test_exporters_when_datagrams_are_missing_then_the_share_that_is_lost(
    collected: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sent = [datagram(V9.message(sequence=n)) for n in (1, 2, 5)]
    lines, _ = shown(capsys, collected(*sent))
    assert "40.0%" in lines[1]


def test_exporters_when_a_relay_names_another_then_both(
    collected: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sent = datagram(IPFIX.message(one_option(IPFIX, (130, v4("198.51.100.7")))))
    lines, _ = shown(capsys, collected(sent))
    assert lines[1][:3] == ["198.51.100.7", "by", "192.0.2.10"]


def test_exporters_when_only_known_from_before_a_restart_then_unheard(
    collected: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = decode(v5(v5_record())).states, Decoded().states
    for scope, sequence in before.scopes():
        after.restore_sequence(scope, sequence, RECEIVED_MS)
    conf = collected(exporters=exporter_facts(after, RECEIVED_MS))
    lines, _ = shown(capsys, conf)
    assert lines[1][:3] == ["192.0.2.10", "unheard", "never"]


def test_exporters_when_written_to_a_file_then_csv_there(
    collected: Callable[..., Path], tmp_path: Path
) -> None:
    conf = collected(datagram(v5(v5_record())))
    path = tmp_path / "exporters.csv"
    assert run(conf, "exporters", "--format", "csv", "--output", str(path)) == 0
    heading, row = path.read_text().splitlines()
    assert heading.startswith('"exporter","port","state","protocol","last_seen"')
    assert row.startswith('"192.0.2.10",,"active","v5",')


def test_exporters_when_the_collector_stopped_then_its_last_figures_and_their_time(
    collected: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    conf = collected(datagram(v5(v5_record())), time_ms=RECEIVED_MS + SILENCE_MS)
    lines, err = shown(capsys, conf)
    assert len(lines) == 2
    assert "the collector is not running; its figures are of 20" in err


def test_exporters_when_no_collector_ran_then_one_sentence_and_exit_code(
    collected: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    conf = collected()
    (tmp_path / "data" / "collector.json").unlink()
    assert run(conf, "exporters") == 1
    assert capsys.readouterr().err.startswith("appliance: no collector has run here: ")


@pytest.mark.parametrize("device", ["192.0.2.7", "2"])
def test_forget_when_the_exporter_is_listed_then_it_is_no_more(
    collected: Callable[..., Path], capsys: pytest.CaptureFixture[str], device: str
) -> None:
    conf = collected()
    with closing(opened_store(conf)) as store:
        store._exporters.ids([address_halves(f"192.0.2.{last}") for last in (1, 7)], 1.0)
        assert run(conf, "exporters", "forget", device) == 0
        assert capsys.readouterr().out == "exporter 2, 192.0.2.7, is forgotten\n"
        assert [record.address for record in store.exporters()] == ["192.0.2.1"]
        assert run(conf, "exporters", "forget", device) == 1
        assert capsys.readouterr().err == f"appliance: No device {device}\n"
    with accounts_of(open_app(conf).open_accounts) as accounts:
        (entry,) = accounts.audit(10)
    assert (entry.action, entry.detail, entry.status) == (
        "appliance exporters forget",
        "exporter 2 192.0.2.7",
        200,
    )
    assert entry.who.startswith("command line")


def opened_store(conf: Path) -> SqlStore:
    """Return the store in the data directory of `collected`."""
    tree = {"data_directory": str(conf.parent / "data")}
    settings = SettingsFile(None, conf, tree).settings(SETTINGS)
    return SqlStore("sqlite:flows.sqlite", settings)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"datagrams": 0}, ["nothing was received on UDP [::]:2055"]),
        (
            {"refused_datagrams": 1},
            ["1 datagram came from elsewhere than", "received no flows"][:1],
        ),
        (
            {"counts": {"datagrams_unsupported_version": 2}, "datagrams": 2},
            ["2 datagrams had no version"],
        ),
        ({"log": {"records_written": 7}, "datagrams": 1}, ["no flow fits; the collector wrote 7"]),
        ({"time_ms": 5, "datagrams": 0}, ["the collector is not running", "nothing was received"]),
        ({"datagrams": 3}, ["the collector has received no flows"]),
    ],
)
def test_top_when_nothing_to_show_then_says_why(
    collected: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    status: dict[str, Any],
    words: list[str],
) -> None:
    conf = collected(**status)
    empty_log(tmp_path / "data" / "flowlog")
    for command in ("top", "flows"):
        assert run(conf, command) == 0
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == len(words)
        for line, word in zip(lines, words, strict=True):
            assert line.startswith(f"appliance: nothing to show: {word}")


def test_top_when_data_wait_for_a_template_then_says_whose(
    collected: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = [datagram(V9.message(a_set(300, basic()), sequence=n)) for n in range(2)]
    others = [
        datagram(V9.message(a_set(300, basic())), f"192.0.2.{number}") for number in range(20, 24)
    ]
    conf = collected(*sent, *others)
    empty_log(tmp_path / "data" / "flowlog")
    assert run(conf, "top", "--format", "json") == 0
    lines = capsys.readouterr().err.splitlines()
    assert (
        lines[0] == "appliance: nothing to show: 2 data sets of 192.0.2.10 waiting for a template"
    )
    assert lines[-1].endswith("2 other exporters waiting for a template")


def test_top_when_flows_were_imported_and_none_fits_then_says_so(
    collected: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = collected()
    (tmp_path / "data" / "collector.json").unlink()
    empty_log(tmp_path / "data" / "flowlog")
    assert run(conf, "top") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"appliance: nothing to show: no flow in {tmp_path / 'data' / 'flowlog'} fits"


def empty_log(path: Path) -> None:
    writer = FlowLogWriter(path, FlowLogLimits(minimum_free_octets=0))
    writer.start()
    writer.close(1)


NAMES = (
    *("192.0.2.1", "x", "4001", "sessions", "sampling", "by_domain", "exporters"),
    *("last_seen_ms", "records", "lost", "version", "datagrams", "waiting_sets"),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(exporters=anything, counts=anything)
def test_status_file_when_it_holds_anything_then_no_exception(
    tmp_path: Path, exporters: Any, counts: Any
) -> None:
    status = {"exporters": exporters, "time_ms": counts, "listen": counts, "counts": counts}
    exporter_rows(json.loads(json.dumps(status)), an_app().settings)
    write_status(tmp_path / "collector.json", status)
    assert reasons_for_nothing(tmp_path / "flowlog")


def test_health_when_data_wait_and_some_is_lost_then_what_and_what_helps(
    collected: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sent = [V9.message(sequence=n) for n in (1, 2, 5)]
    sent.append(V9.message(a_set(301, bytes(40)), sequence=6, domain=0))
    conf = collected(*map(datagram, sent), kernel_drops=0)
    assert run(conf, "exporters", "health", "192.0.2.10") == 0
    out = capsys.readouterr().out
    assert re.search(r"lost +33.33%: 2 of 6 messages, since \d{4}-", out)
    assert re.search(r"missing +template 301 of domain 0, for .*: 40 octets wait", out)
    assert re.search(r"sampling +1 in 1 \(assumed\)", out)
    assert "! Data wait for its template (301)." in out


def test_health_when_in_json_then_one_object_for_each_exporter(
    collected: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sent = [datagram(v5(v5_record()), address) for address in ("192.0.2.1", "192.0.2.2")]
    assert run(collected(*sent), "exporters", "health", "--format", "json") == 0
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["address"] for one in reports] == ["192.0.2.1", "192.0.2.2"]
    assert all(one["running"] and one["hints"] for one in reports)


@pytest.mark.parametrize("exporter", ["192.0.2.77", "77"])
def test_health_when_the_exporter_is_not_known_then_one_sentence(
    collected: Callable[..., Path], capsys: pytest.CaptureFixture[str], exporter: str
) -> None:
    assert run(collected(datagram(v5(v5_record()))), "exporters", "health", exporter) == 1
    assert capsys.readouterr().err == f"appliance: the collector knows no exporter {exporter}\n"
