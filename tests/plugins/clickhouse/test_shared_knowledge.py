"""What collectors share: an exporter's datagrams come to one, then to another."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.collector.exporter_rows import OF_OTHERS, exporter_rows
from appliance.collector.other_collectors import agreed_sampling, agreed_templates
from appliance.contracts import SavedApplication, SavedSampling, SavedTemplate
from appliance.decoding.sampling.knowledge import Subject
from appliance.decoding.templates.template import FieldSpecifier, Template
from appliance.errors import StorageError
from appliance.flowlog import Cursor, FlowLogReader
from appliance.plugins.clickhouse.cluster import Cluster
from appliance.plugins.clickhouse.collector_exchange import FORGET_SECONDS, CollectorExchange
from appliance.plugins.clickhouse.schema import Layout
from appliance.plugins.clickhouse.shared_bodies import SAMPLING_BODY, TEMPLATE_BODY, SharedBody
from appliance.plugins.clickhouse.shared_knowledge import (
    SharedKnowledge,
    application_body,
    applications_of,
    sampling_body,
    sampling_of,
    template_body,
    templates_of,
)
from appliance.settings.file import SettingsFile
from tests.collector.running import RunningCollector
from tests.decoding.building import a_set, number, template, v4, v9, v9_options
from tests.plugins.clickhouse.world import Place, server_at

SAMPLER, TOLD_TO_FIRST, TOLD_TO_SECOND = 5, 512, 64
TEMPLATES = a_set(0, template(300, (8, 4), (12, 4), (1, 8), (48, 1)))
OPTIONS = a_set(1, v9_options(301, [(1, 4)], [(48, 1), (50, 4)]))
RECORD = a_set(300, v4("10.0.0.1") + v4("10.0.0.2") + number(1000, 8) + number(SAMPLER, 1))
OCTETS = Template(300, (FieldSpecifier(8, 4), FieldSpecifier(1, 8)))
PACKETS = Template(300, (FieldSpecifier(8, 4), FieldSpecifier(2, 8)))
NOW = 1_801_429_200.0


def collector(folder: Path, place: Place, name: str) -> RunningCollector:
    target = {"addresses": place.addresses, "cluster": place.cluster, "database": place.database}
    return RunningCollector(folder, f"  name: {name}\nclickhouse: {json.dumps(target)}\n")


def rates_of_log(running: RunningCollector) -> set[float]:
    reader = FlowLogReader(running.data / "flowlog")
    tables, _ = reader.follow(Cursor(), 1_000_000, False, ("sampling_rate",))
    return {rate for table in tables for rate in table["sampling_rate"].to_pylist()}


def await_source(running: RunningCollector, source: str) -> None:
    settings, deadline = SettingsFile(None, running.data, {}).settings(), time.monotonic() + 20
    while [row.sampling_source for row in exporter_rows(running.status(), settings)] != [source]:
        assert time.monotonic() < deadline, running.status()
        threading.Event().wait(0.1)


def told(rate: int) -> bytes:
    return a_set(301, number(1, 4) + number(SAMPLER, 1) + number(rate, 4))


@pytest.mark.slow
@pytest.mark.parametrize("place", ["single", "cluster"], indirect=True)
def test_exporter_when_its_datagrams_move_then_the_other_collector_reads_and_scales_them(
    place: Place, tmp_path: Path
):
    first, second = (collector(tmp_path / name, place, name) for name in ("one", "two"))
    try:
        first.start()
        second.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as exporter:

            def send(running: RunningCollector, *sets: bytes) -> None:
                exporter.sendto(v9(*sets, seconds=int(time.time())), running.target)

            def send_until_scaled(rate: float) -> None:
                deadline = time.monotonic() + 90
                while rate not in rates_of_log(second):
                    assert time.monotonic() < deadline, second.status()
                    send(second, RECORD)
                    threading.Event().wait(1.0)

            send(first, TEMPLATES, OPTIONS, told(TOLD_TO_FIRST))
            first.wait_for("datagrams", 1)
            send_until_scaled(TOLD_TO_FIRST)
            # The status is some seconds old.
            await_source(second, OF_OTHERS)
            # What it hears itself goes first.
            send(second, OPTIONS, told(TOLD_TO_SECOND))
            send_until_scaled(TOLD_TO_SECOND)
        assert first.stop() == second.stop() == 0
    finally:
        first.close()
        second.close()


def exchange_of(place: Place, folder: Path, name: str) -> CollectorExchange:
    servers = [server_at(address, place.database) for address in place.addresses]
    cluster = Cluster(servers, Layout(place.database, place.cluster))
    cluster.connect()
    folder.mkdir(exist_ok=True)
    return CollectorExchange(cluster, name, folder)


@pytest.mark.parametrize("place", ["single"], indirect=True)
def test_templates_when_shared_then_others_get_them_until_they_are_old(
    place: Place, tmp_path: Path
):
    saved = [SavedTemplate("192.0.2.1", 7, 9, OCTETS)]
    rates = [SavedSampling("192.0.2.1", 7, 9, "selector", 3, 512.0)]
    SharedKnowledge(tmp_path / "one").write(saved)
    SharedKnowledge(tmp_path / "one").write_sampling(rates)
    exchange_of(place, tmp_path / "one", "one").exchange(NOW)
    other = SharedKnowledge(tmp_path / "two")
    assert other.read_others() is None
    exchange_of(place, tmp_path / "two", "two").exchange(NOW + 60)
    assert other.read_others() == saved
    assert other.read_sampling_of_others() == rates
    assert other.read_others() is other.read_sampling_of_others() is None
    exchange_of(place, tmp_path / "two", "two").exchange(NOW + FORGET_SECONDS + 60)
    assert other.read_others() == other.read_sampling_of_others() == []
    # Its own are not those of others.
    exchange_of(place, tmp_path / "one", "one").exchange(NOW + 60)
    assert SharedKnowledge(tmp_path / "one").read_others() == []


def test_templates_when_collectors_differ_then_none_is_lent():
    differing = [SavedTemplate("192.0.2.1", 7, 9, each) for each in (OCTETS, PACKETS, OCTETS)]
    agreed = [SavedTemplate("192.0.2.2", 7, 9, OCTETS)] * 2
    assert list(agreed_templates([*differing, *agreed]).values()) == [OCTETS]


def test_sampling_when_collectors_differ_then_of_that_subject_none_is_lent():
    differing = [SavedSampling("192.0.2.1", 7, 9, "domain", 0, rate) for rate in (10, 20, 10)]
    agreed = [SavedSampling("192.0.2.1", 7, 9, "selector", 1, 30.0)] * 2
    (told,) = agreed_sampling([*differing, *agreed]).values()
    assert told.told == {Subject("selector", 7, 1): 30.0}


def test_templates_when_more_than_is_shared_then_the_first_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    small = SharedBody("templates", 1000)
    module = "appliance.plugins.clickhouse.shared_knowledge"
    monkeypatch.setattr(f"{module}.TEMPLATE_BODY", small)
    monkeypatch.setattr(f"{module}.SAMPLING_BODY", small)
    saved = [SavedTemplate(f"192.0.2.{n}", 7, 9, OCTETS) for n in range(100, 200)]
    read = templates_of(template_body(saved))
    assert 5 < len(read) < 30
    assert read == saved[: len(read)]
    rates = [SavedSampling(f"192.0.2.{n}", 7, 9, "domain", 0, 1.5) for n in range(100, 200)]
    told = sampling_of(sampling_body(rates))
    assert 5 < len(told) < 50
    assert told == rates[: len(told)]
    assert "templates for other collectors: more than 1000 octets" in caplog.text


PIECES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=8),
    max_leaves=30,
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=5) | PIECES)
def test_body_when_anything_then_what_fits_is_read(piece: Any):
    good = SavedTemplate("2001:db8::1", 7, 10, OCTETS)
    (own,) = json.loads(template_body([good]))
    pieces = [*piece, own] if isinstance(piece, list) else [own, piece]
    assert good in templates_of(json.dumps(pieces))
    assert templates_of(json.dumps(piece)) == [] or isinstance(piece, list)
    rate = SavedSampling("2001:db8::1", 7, 10, "interface", 3, 2.5)
    (entry,) = json.loads(sampling_body([rate]))
    pieces = [*piece, entry] if isinstance(piece, list) else [entry, piece]
    assert rate in sampling_of(json.dumps(pieces))
    assert rate in sampling_of(json.dumps([[*entry[:2], [*pieces, *entry[2]]]]))
    assert sampling_of(json.dumps(piece)) == []
    name = SavedApplication("2001:db8::1", 2055, 1 << 57, "webex")
    (entry,) = json.loads(application_body([name]))
    pieces = [*piece, entry] if isinstance(piece, list) else [entry, piece]
    assert name in applications_of(json.dumps(pieces))
    assert name in applications_of(json.dumps([[*entry[:2], [*pieces, *entry[2]]]]))


@pytest.mark.parametrize(
    "rate", [0, 0.5, -1, True, "9", None, float("nan"), float("inf"), 1 << 63, [1]]
)
def test_rate_when_it_cannot_be_then_left_out(rate: Any):
    body = json.dumps([["192.0.2.1", 9, [[0, 7, 1, rate], [1, 7, 2, 64]]]])
    assert sampling_of(body) == [SavedSampling("192.0.2.1", 7, 9, "interface", 2, 64.0)]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"one": 5}', "\udcff"])
def test_file_of_others_when_damaged_then_an_error_and_no_crash(text: str, tmp_path: Path):
    shared = SharedKnowledge(tmp_path)
    reads = (shared.read_others, shared.read_sampling_of_others)
    for kind, read in zip((TEMPLATE_BODY, SAMPLING_BODY), reads, strict=True):
        (tmp_path / kind.others_file).write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(StorageError, match=kind.others_file):
            read()
