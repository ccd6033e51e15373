"""The flow log in ClickHouse: every row once, as it is in the log, whatever step was the last."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.errors import StorageError
from appliance.flowlog import Cursor, FlowLogReader
from appliance.flows import Column, columns_of_log, set_plugin_columns
from appliance.plugins.clickhouse import writer as writer_module
from appliance.plugins.clickhouse.http import Server
from appliance.plugins.clickhouse.retention import Kept
from tests.plugins.clickhouse.world import START, LogOfFlows, Place, load_all, stored_sums

DAY = 86_400


class CutOff(BaseException):
    """What a kill does: the writer goes no step further."""


class CountedServer(Server):
    """A server that the writer is cut off from when a request is answered, before it knows.

    To be cut off before a request is the same as to be cut off behind the one before.
    """

    left = 0

    def _request(self, body: bytes, settings: dict[str, object], seconds: float) -> bytes:
        CountedServer.left -= 1
        is_last = CountedServer.left == 0
        answer = super()._request(body, settings, seconds)
        if is_last:
            raise CutOff
        return answer


@pytest.fixture
def extra_columns() -> Iterator[None]:
    """Forget the columns of plugins afterwards."""
    yield
    set_plugin_columns(())


def test_log_when_written_then_all_of_it_is_there_once(place: Place, folder: Path):
    log = LogOfFlows(folder)
    log.write(250)
    log.write(130, START + DAY - 30)
    loader = place.loader(folder)
    assert load_all(loader) == 380
    log.seal()
    log.write(33, START + 2 * DAY)
    assert load_all(loader) == 33
    loader.close()
    load_all(place.loader(folder))
    assert stored_sums(place.server()) == log.sums()
    assert log.sums()[0] == 413


def test_values_when_absent_or_extreme_then_as_in_the_log(
    place: Place, folder: Path, extra_columns: None
):
    text = Column("site_text", np.dtype(object), absent="", doc="A text of a plugin.")
    set_plugin_columns([text])
    log = LogOfFlows(folder)
    highest = {
        column.name: np.full(3, np.iinfo(column.dtype).max, column.dtype)
        for column in columns_of_log(False)
        if column.dtype.kind == "u" and column.name != "record_kind"
    }
    texts = np.array(["it's", "", "ä\n\\'\x00`"], object)
    log.write(3, **{**highest, "site_text": texts})
    log.write(4)
    load_all(place.loader(folder))
    names = [column.name for column in columns_of_log(False)]
    (table,) = _whole_log(log, names)
    stored = place.server().columns(f"SELECT {', '.join(names)} FROM flows ORDER BY segment, row")
    for name in names:
        nulls = stored[name].nulls
        values = stored[name].values.tolist()
        shown = [None if nulls is not None and nulls[i] else values[i] for i in range(7)]
        assert shown == table[name].to_pylist(), name


def _whole_log(log: LogOfFlows, names: list[str]) -> list[Any]:
    import pyarrow as pa

    tables, _ = FlowLogReader(log.folder).follow(Cursor(), 1000, False, names)
    return [pa.concat_tables(tables)]


@pytest.mark.parametrize("place", ["single", "cluster"], indirect=True)
def test_writer_when_cut_off_at_any_step_then_no_row_is_missing_or_twice(
    place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("appliance.plugins.clickhouse.insertion.SETTLE_SECONDS", 0.0)
    log = LogOfFlows(folder)
    midnight = START // DAY * DAY + DAY
    servers = [CountedServer(s.address, s.access) for s in place.loader(folder).cluster.servers]
    step = 0
    while True:
        step += 1
        log.write(30, midnight - 30)
        CountedServer.left = 0
        loader = place.loader(folder, servers=list(servers))
        loader.cluster.connect()
        loader.batch_rows, CountedServer.left = 10_000, step
        try:
            load_all(loader)
        except CutOff:
            # More is in the log than was: only what was written down tells where the batch ends.
            log.write(7, midnight + 60)
            if step % 3 == 0:
                log.seal()
            loader.close()
            CountedServer.left = 0
            after = place.loader(folder)
            after.batch_rows = 10_000
            load_all(after)
            after.close()
        else:
            break
    CountedServer.left = 0
    assert step > 10
    assert stored_sums(place.server()) == log.sums()


def test_column_when_a_plugin_brings_one_later_then_it_is_added(
    place: Place, folder: Path, extra_columns: None
):
    log = LogOfFlows(folder)
    log.write(10)
    loader = place.loader(folder)
    load_all(loader)
    loader.close()
    set_plugin_columns([Column("guess", np.dtype("u4"), doc="A number of a plugin.")])
    log.write(10, guess=np.arange(10, dtype=np.uint32))
    later = place.loader(folder)
    load_all(later)
    later.close()
    for number in range(len(place.addresses)):
        place.wait_for_replicas()
        rows = place.server(number).rows("SELECT count(), count(guess), sum(guess) FROM flows")
        assert rows == [[20, 10, 45]]
    set_plugin_columns(())
    log.write(10)
    load_all(place.loader(folder))
    assert place.server().rows("SELECT count(), sum(guess) FROM flows") == [[30, 45]]


def test_collectors_when_two_write_into_one_then_each_has_its_own(place: Place, tmp_path: Path):
    logs = {}
    for name in ("east", "west"):
        (tmp_path / name).mkdir()
        logs[name] = LogOfFlows(tmp_path / name, seed=len(logs))
    loaders = {name: place.loader(tmp_path / name, name) for name in logs}
    for _ in range(3):
        for name, log in logs.items():
            log.write(90)
            loaders[name].load_once(time.time())
    for name, log in logs.items():
        load_all(loaders[name])
        assert stored_sums(place.server(), name) == log.sums()
    assert stored_sums(place.server())[0] == 540


def test_collectors_when_two_have_one_name_then_the_second_says_so(single: Place, tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        LogOfFlows(tmp_path / name).write(50)
    load_all(single.loader(tmp_path / "a"))
    with pytest.raises(StorageError, match=r"as one: set collector\.name"):
        single.loader(tmp_path / "b").load_once(time.time())
    assert single.server().rows("SELECT count() FROM flows") == [[50]]


def test_log_when_begun_anew_then_its_rows_come_beside_the_old(
    single: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(writer_module, "_OTHER_WRITER_SECONDS", 0)
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        LogOfFlows(tmp_path / name).write(50)
    load_all(single.loader(tmp_path / "old"))
    report = single.loader(tmp_path / "new").load_once(time.time())
    assert "another than the one that one filled ClickHouse from" in report.warnings[0]
    assert single.server().rows("SELECT count(), uniqExact(batch) FROM flows") == [[100, 2]]


def test_processes_when_two_write_one_log_then_the_second_waits(single: Place, folder: Path):
    LogOfFlows(folder).write(50)
    first, second = single.loader(folder), single.loader(folder)
    first.load_once(time.time())
    with pytest.raises(StorageError, match="another process still writes this flow log"):
        second.load_once(time.time())
    first.close()
    load_all(second)
    assert single.server().rows("SELECT count() FROM flows") == [[50]]


def test_batch_when_a_server_still_works_on_it_then_not_sent_again(single: Place, folder: Path):
    """A plain table would have it twice."""
    LogOfFlows(folder).write(50)
    loader = single.loader(folder)
    load_all(loader)
    loader.close()
    later, server = single.loader(folder), single.server()
    slow = threading.Thread(
        target=server.rows, args=("SELECT sleep(2.5)",), kwargs={"query_id": "flows-one-sums-1"}
    )
    slow.start()
    with pytest.raises(StorageError, match="still works on batch 1"):
        later.load_once(time.time())
    slow.join()
    load_all(later)
    assert server.rows("SELECT count() FROM flows") == [[50]]


def test_batch_when_the_log_lost_it_meanwhile_then_counted_and_told(single: Place, folder: Path):
    log = LogOfFlows(folder)
    log.write(50)
    loader = single.loader(folder)
    loader.load_once(time.time())
    loader.close()
    log.write(40)
    servers: list[Server] = [CountedServer(s.address, s.access) for s in loader.cluster.servers]
    CountedServer.left = 0
    cut_off = single.loader(folder, servers=servers)
    cut_off.cluster.connect()
    # Templates and sampling are exchanged in three requests each, names in one; the batch that is
    # there is counted in four tables, then the next is written down.
    CountedServer.left = 16
    with pytest.raises(CutOff):
        load_all(cut_off)
    cut_off.close()
    log.seal()
    for path in (log.folder / "flows").iterdir():
        path.unlink()
    log.write(30)
    last = single.loader(folder)
    report = last.load_once(time.time())
    assert "the flow log no longer has batch 2" in report.warnings[0]
    load_all(last)
    assert single.server().rows("SELECT count() FROM flows") == [[80]]


def test_days_when_past_their_time_then_dropped_whole(place: Place, folder: Path):
    log = LogOfFlows(folder)
    for day in range(3):
        log.write(10 + day, START + day * DAY, record_kind=np.zeros(10 + day, np.uint8))
    loader = place.loader(folder, kept=Kept(flow_days=2, sum_days=3, sample_days=3))
    load_all(loader)
    assert loader.expire(START + 2 * DAY) == 0
    # Of the day that is over go 10 flows, and 10 of its samples with the row that marks these.
    assert loader.expire(START + 3 * DAY) == 21
    assert place.server().rows("SELECT count() FROM flows") == [[23]]
    assert place.server().rows("SELECT sum(rows) FROM sums") == [[33]]
    assert place.server().rows("SELECT sum(drawn_from) FROM samples") == [[23]]
    assert place.server().rows("SELECT sum(drawn_from) FROM day_samples") == [[33]]
