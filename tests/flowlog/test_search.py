"""FlowSearch: exact answers at every moment, within limits, whatever lies on the disk."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.decoding.columns.mapping import application_key
from appliance.errors import QueryError, StorageError
from appliance.flowlog import (
    FlowLogLimits,
    FlowQuestion,
    FlowSearch,
    Maintainer,
    QueryLimits,
    maintainer,
    seal,
)
from appliance.flowlog.macros import MACROS
from appliance.flowlog.questions import Statement
from appliance.flows import V4_MAPPED, FlowBatch, address_halves, address_text
from appliance.query.language.duckdb import parse_conditions
from tests.asking import Totals, top, totals

STAGES = ("open", "closed", "sealed", "merged", "mixed")


def at_stage(log: Any, stage: str, batches: list[FlowBatch]) -> FlowSearch:
    """Write batches so that they lie in the journal, in sealed or in merged files."""
    if stage == "open":
        writer = log.writer()
        for batch in batches:
            writer.append(batch)
            writer.flush({}, log.now_ms)
        writer._open = None  # the process ends here
        writer.close()
    else:
        for number, batch in enumerate(batches):
            log.write([batch])
            if stage in ("sealed", "merged") or (stage == "mixed" and number < 2):
                log.maintain()
    if stage == "merged":
        log.maintain(7_200_000)
    return FlowSearch(log.directory)


def where(*texts: str) -> tuple[Any, ...]:
    return parse_conditions(texts)


@pytest.mark.parametrize("stage", STAGES)
def test_flows_when_records_stand_for_several_then_all_are_counted(
    log: Any, make_batch: Any, stage: str
) -> None:
    several = make_batch(3, delta_flow_count=np.array([5, 1, 2], "u8"))
    search = at_stage(log, stage, [make_batch(4), several, make_batch(1, seed=1)])
    assert totals(search).flows == 4 + 8 + 1
    (row,) = top(search, "protocol")
    assert row["flows"] == 13


@pytest.mark.parametrize("stage", STAGES)
def test_totals_and_top_when_rows_lie_anywhere_then_exact(
    log: Any, make_batch: Any, stage: str
) -> None:
    batches = [make_batch(200, n, octet_delta_count=np.uint64(n + 1)) for n in range(4)]
    search = at_stage(log, stage, batches)
    assert totals(search) == Totals(800, 800, 200 * 10)
    octets: Counter[str] = Counter()
    for batch in batches:
        for low, count in zip(
            batch.column("source_address_lo"), batch.column("octet_delta_count"), strict=True
        ):
            octets[address_text(0, int(low))] += int(count)
    answer = top(search, "source", limit=5, other=True)
    shown = {row.get("source_address"): row["octets"] for row in answer}
    rest = shown.pop(None)
    assert sorted(shown.values(), reverse=True) == [n for _, n in octets.most_common(5)]
    assert all(octets[source] == n for source, n in shown.items())
    assert rest + sum(shown.values()) == 2000
    assert sum(row["flows"] for row in answer) == 800


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), 8),
        (("source=10.0.0.1",), 2),
        (("source=10.0.0.0/30", "protocol=tcp"), 2),
        (("source=10.0.0.1,10.0.0.2",), 4),
        (("host=10.0.0.1",), 3),
        (("not host=10.0.0.1",), 5),
        (("host!=10.0.0.1",), 5),
        (("host=0.0.0.0/0",), 7),
        (("host=::/0",), 8),
        (("host=2001:db8::/32",), 1),
        (("host=2001:db8::1/128", "port=53"), 1),
        (("port=53",), 3),
        (("port=53", "host=10.0.0.1"), 1),
        (("port>=1000", "port<1001"), 6),
        (("protocol=udp",), 4),
        (("not protocol=udp",), 4),
        (("vlan=7",), 1),
        (("not vlan=7",), 7),
        (("octets>100", "octets<=103"), 3),
        (("packets!=1",), 0),
        (("exporter=192.0.2.1",), 8),
        (("application=3:80",), 1),
        (("source_mac_address=00:00:5e:00:53:01",), 1),
        (("source_transport_port=0x3e8",), 6),
    ],
)
def test_conditions_when_asked_then_each_matching_row_once(
    log: Any, make_batch: Any, stage: str, texts: tuple[str, ...], expected: int
) -> None:
    v4 = lambda text: np.uint64(address_halves(text)[1])  # noqa: E731
    hi6, lo6 = (np.uint64(half) for half in address_halves("2001:db8::1"))
    one = {"source_transport_port": np.uint16(1000), "protocol_identifier": np.uint8(17)}
    http = np.uint64(application_key(b"\x03\x00\x00\x50"))
    made = [
        {"source_address_lo": v4("10.0.0.1"), "destination_address_lo": v4("10.0.0.1")},
        {"source_address_lo": v4("10.0.0.1")},
        {"source_address_lo": v4("10.0.0.2"), **one},
        {"source_address_lo": v4("10.0.0.2"), **one, "vlan_id": np.uint16(7)},
        {"source_address_lo": v4("10.0.0.9"), **one, "application_id": http},
        {"source_address_lo": v4("10.0.0.9"), "destination_address_lo": v4("10.0.0.1"), **one,
         "protocol_identifier": np.uint8(6), "source_mac_address": np.uint64(0x5E005301)},
        {"source_address_hi": hi6, "source_address_lo": lo6, "destination_address_hi": hi6,
         "destination_address_lo": lo6, **one, "destination_transport_port": np.uint16(53)},
        {"source_address_lo": v4("10.0.0.8"), "source_transport_port": np.uint16(53)},
    ]  # fmt: skip
    made[0] |= {"source_transport_port": np.uint16(53), "destination_transport_port": np.uint16(53)}
    made[1] |= {"source_transport_port": np.uint16(1000)}
    batches = [
        make_batch(1, n, octet_delta_count=np.uint64(100 + n), **columns)
        for n, columns in enumerate(made)
    ]
    search = at_stage(log, stage, batches)
    question = FlowQuestion(conditions=where(*texts), columns=("flow_id",))
    assert len(set(search.flows(question)["flow_id"].to_pylist())) == expected
    assert search.flows(question).num_rows == expected
    assert totals(search, conditions=where(*texts)).flows == expected


def test_sums_when_sampled_then_scaled_unless_raw(log: Any, make_batch: Any) -> None:
    rates = [None, 0.0, 1.0, 100.0, 0.5, float("nan"), float("inf"), -3.0]
    batches = [
        make_batch(1, n, sampling_rate=None if rate is None else np.float64(rate))
        for n, rate in enumerate(rates)
    ]
    search = at_stage(log, "mixed", batches)
    assert totals(search) == Totals(8, 107, 10_700)
    assert totals(search, raw=True) == Totals(8, 8, 800)


def test_sums_when_counters_are_hostile_then_no_error(log: Any, make_batch: Any) -> None:
    huge = make_batch(
        10, octet_delta_count=np.uint64(2**64 - 1), flow_start_milliseconds=np.int64(2**63 - 1)
    )
    search = at_stage(log, "sealed", [huge])
    assert totals(search).octets == 2**64 - 1
    columns = ("flow_start_milliseconds",)
    assert search.flows(FlowQuestion(columns=columns))[columns[0]].null_count == 10


def test_totals_when_rows_are_events_then_not_counted(log: Any, make_batch: Any) -> None:
    search = at_stage(log, "mixed", [make_batch(3), make_batch(5, 1, record_kind=np.uint8(1))])
    assert totals(search).flows == 3
    assert search.flows(FlowQuestion(conditions=where("kind=event"))).num_rows == 5


def test_totals_when_log_is_empty_then_zero(log: Any) -> None:
    log.write()
    assert totals(FlowSearch(log.directory)) == Totals(0, 0, 0)
    assert top(FlowSearch(log.directory), "source", other=True) == []


def test_log_when_missing_then_one_sentence(tmp_path: Any) -> None:
    with pytest.raises(StorageError, match="has the collector run"):
        totals(FlowSearch(tmp_path / "none"))


@pytest.mark.parametrize("stage", STAGES)
def test_time_range_when_given_then_half_open(log: Any, make_batch: Any, stage: str) -> None:
    start = log.now_ms
    search = at_stage(log, stage, [make_batch(1, n, start + n * 1000) for n in range(5)])
    assert totals(search, since_ms=start + 1000, until_ms=start + 4000).flows == 3


def test_flows_when_all_columns_then_addresses_times_and_octets(log: Any, make_batch: Any) -> None:
    batch = make_batch(2, source_mac_address=np.uint64(0xABCDEF))
    batch.octets = {"octets_9_7": np.array([b"\1\2", b""], object)}
    log.write([batch], primitives=[(9, 7)])
    log.maintain()
    log.write([make_batch(1, 1)])
    table = FlowSearch(log.directory).flows(FlowQuestion(columns=(), order="time"))
    rows = table.to_pylist()
    assert [row["octets_9_7"] for row in rows if row["flow_id"] < 2] in (
        [b"\1\2", None], [None, b"\1\2"],
    )  # fmt: skip
    assert rows[0]["exporter_address"] == "192.0.2.1"
    assert {row["source_mac_address"] for row in rows} == {"00:00:00:ab:cd:ef", None}
    assert rows[0]["collection_time_milliseconds"].year == 2100


def test_options_records_when_asked_then_their_own_family(log: Any) -> None:
    names = np.array(["http", "dns"], object)
    options = FlowBatch(
        2, {"application_name": names, "application_id": np.arange(2, dtype="u8")}, options=True
    )
    search = at_stage(log, "mixed", [options, options, options])
    question = FlowQuestion(options=True, conditions=where("application_name~HTT"), columns=())
    assert search.flows(question)["application_name"].to_pylist() == ["http"] * 3
    assert totals(search).flows == 0


def test_order_and_limit_when_given_then_kept(log: Any, make_batch: Any) -> None:
    batches = [
        make_batch(1, n, log.now_ms + n, octet_delta_count=np.uint64(n % 3)) for n in range(9)
    ]
    search = at_stage(log, "mixed", batches)
    seen = search.flows(FlowQuestion(limit=4, order="newest", columns=("flow_id",)))
    assert seen["flow_id"].to_pylist() == [8_000_000, 7_000_000, 6_000_000, 5_000_000]
    seen = search.flows(FlowQuestion(limit=3, order="octets", columns=("octet_delta_count",)))
    assert seen["octet_delta_count"].to_pylist() == [2, 2, 2]


def test_memory_limit_when_too_small_then_query_error(log: Any, make_batch: Any) -> None:
    search = at_stage(log, "sealed", [make_batch(60_000, n) for n in range(2)])
    search.limits = QueryLimits(memory_octets=2_000_000, threads=1)
    with pytest.raises(QueryError, match="memory"):
        top(search, "pair", limit=100_000)


def test_time_limit_when_over_then_query_error(log: Any, make_batch: Any) -> None:
    search = at_stage(log, "sealed", [make_batch(1_000_000)])
    search.limits = QueryLimits(memory_octets=10**9, threads=1, seconds=0.02)
    with pytest.raises(QueryError, match=r"took longer than 0\.02 s"):
        top(search, "pair", limit=100_000)


@pytest.mark.parametrize("place", [30, -30])
def test_damaged_file_when_searched_then_left_out_with_a_warning(
    log: Any, make_batch: Any, place: int
) -> None:
    at_stage(log, "sealed", [make_batch(50, n) for n in range(3)])
    path = log.directory / "flows" / log.files()[1]
    octets = bytearray(path.read_bytes())
    octets[place : place + 25] = bytes(25)
    path.write_bytes(octets)
    search = FlowSearch(log.directory)
    sums = totals(search)
    if place < 0:
        assert sums.flows == 100
        assert len(search.damaged) == 1


def test_question_when_unknown_words_then_query_error(log: Any) -> None:
    log.write()
    search = FlowSearch(log.directory)
    with pytest.raises(QueryError, match="expected"):
        top(search, "nobody")
    for other in (FlowQuestion(order="x"), FlowQuestion(columns=("a; DROP TABLE log",))):
        with pytest.raises(QueryError, match="expected"):
            search.flows(other)


def test_answers_when_sealing_merging_and_expiring_meanwhile_then_always_exact(
    log: Any, make_batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintainer, "FAN", 2)
    monkeypatch.setattr(seal, "COPY_ROWS", 60)
    stop, errors, answers = threading.Event(), [], []
    low = threading.Lock()
    counts = [0, 0]  # committed before, and at most committed now

    def ask() -> None:
        search = FlowSearch(log.directory, QueryLimits(threads=1))
        while not stop.is_set():
            with low:
                least = counts[0]
            sums = totals(search)
            with low:
                most = counts[1]
            answers.append(totals)
            if not least <= sums.flows <= most or sums.octets != sums.flows * 100:
                errors.append((least, totals, most))

    log.write()
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    writer = log.writer()
    task = Maintainer(log.directory, FlowLogLimits(retention_seconds=0))
    for number in range(60):
        batch = make_batch(50 + number % 30, number, log.now_ms)
        with low:
            counts[1] += batch.n_records
        writer.append(batch)
        assert writer.flush({}, log.now_ms) == 0
        with low:
            counts[0] += batch.n_records
        log.now_ms += 61_000
        writer.roll_if_due(log.now_ms)
        task.run_once(log.now_ms)
    stop.set()
    for thread in threads:
        thread.join()
    writer.close()
    assert not errors
    assert len(answers) > 10
    assert totals(FlowSearch(log.directory)).flows == counts[0]


def test_answers_when_oldest_files_expire_meanwhile_then_whole_files_only(
    log: Any, make_batch: Any
) -> None:
    for number in range(30):
        log.write([make_batch(100, number)])
        log.maintain()
    task = Maintainer(log.directory, FlowLogLimits(retention_seconds=0, retention_octets=1))
    files = sorted((log.directory / "flows").iterdir())
    done = threading.Event()

    def expire() -> None:
        for path in files:
            path.unlink()
        task.run_once(log.now_ms)
        done.set()

    thread = threading.Thread(target=expire)
    search = FlowSearch(log.directory)
    seen = [totals(search).flows]
    thread.start()
    while not done.is_set():
        seen.append(totals(search).flows)
    thread.join()
    seen.append(totals(search).flows)
    assert all(flows % 100 == 0 for flows in seen)
    assert seen == sorted(seen, reverse=True)
    assert (seen[0], seen[-1]) == (3000, 0)


@settings(max_examples=300, deadline=None)
@given(
    halves=st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
    | st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF]), min_size=8, max_size=8).map(
        lambda groups: divmod(sum(g << 16 * (7 - i) for i, g in enumerate(groups)), 2**64)
    )
    | st.integers(0, 2**32 - 1).map(lambda low: (0, V4_MAPPED | low))
)
def test_address_when_printed_by_duckdb_then_as_python_prints_it(halves: tuple[int, int]) -> None:
    if not _CONNECTIONS:
        _CONNECTIONS.append(duckdb.connect())
        _CONNECTIONS[0].execute(MACROS)
    query = "SELECT address($hi::UBIGINT, $lo::UBIGINT)"
    (row,) = _CONNECTIONS[0].execute(query, {"hi": halves[0], "lo": halves[1]}).fetchall()
    assert row[0] == address_text(*halves)


_CONNECTIONS: list[Any] = []


def test_questions_when_one_after_another_then_each_sees_what_is_there_then(
    log: Any, make_batch: Any
) -> None:
    search, other = FlowSearch(log.directory), FlowSearch(log.directory)
    for number in range(1, 4):
        log.write([make_batch(10, number)])
        assert search.flows(FlowQuestion()).num_rows == 10 * number
        with pytest.raises(QueryError):
            other.run(
                Statement("SELECT no_such_column FROM log", {}, frozenset()), FlowQuestion(), False
            )
        assert other.flows(FlowQuestion(limit=5)).num_rows == 5
