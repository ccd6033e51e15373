"""Templates that collectors share: an exporter's datagrams come to one, then to another."""

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

from appliance.collector.saved_state import agreed_templates
from appliance.contracts import SavedTemplate
from appliance.decoding.templates.template import FieldSpecifier, Template
from appliance.errors import StorageError
from appliance.plugins.clickhouse.cluster import Cluster
from appliance.plugins.clickhouse.schema import Layout
from appliance.plugins.clickhouse.shared_templates import (
    OTHERS_FILE,
    SharedTemplates,
    body_of,
    templates_of,
)
from appliance.plugins.clickhouse.template_exchange import FORGET_SECONDS, TemplateExchange
from tests.collector.running import RunningCollector
from tests.decoding.building import a_set, number, template, v4, v9
from tests.plugins.clickhouse.world import Place, server_at

FIELDS = ((8, 4), (12, 4), (1, 8))
ANNOUNCEMENT = a_set(0, template(300, *FIELDS))
RECORD = a_set(300, v4("10.0.0.1") + v4("10.0.0.2") + number(1000, 8))
OCTETS = Template(300, (FieldSpecifier(8, 4), FieldSpecifier(1, 8)))
PACKETS = Template(300, (FieldSpecifier(8, 4), FieldSpecifier(2, 8)))
NOW = 1_801_429_200.0


def collector(folder: Path, place: Place, name: str) -> RunningCollector:
    target = {"addresses": place.addresses, "cluster": place.cluster, "database": place.database}
    return RunningCollector(folder, f"  name: {name}\nclickhouse: {json.dumps(target)}\n")


def decoded(running: RunningCollector) -> int:
    exporters = running.status().get("exporters", {})
    return sum(each.get("records", 0) for each in exporters.values())


@pytest.mark.slow
@pytest.mark.parametrize("place", ["single", "cluster"], indirect=True)
def test_exporter_when_its_datagrams_move_then_the_other_collector_reads_them(
    place: Place, tmp_path: Path
):
    first, second = (collector(tmp_path / name, place, name) for name in ("one", "two"))
    try:
        first.start()
        second.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as exporter:
            exporter.sendto(v9(ANNOUNCEMENT, seconds=int(time.time())), first.target)
            first.wait_for("datagrams", 1)
            deadline = time.monotonic() + 90
            sequence = 0
            while not decoded(second):
                assert time.monotonic() < deadline, second.status()
                sequence += 1
                datagram = v9(RECORD, seconds=int(time.time()), sequence=sequence)
                exporter.sendto(datagram, second.target)
                threading.Event().wait(1.0)
        assert first.stop() == second.stop() == 0
        assert second.rows() >= 1
    finally:
        first.close()
        second.close()


def exchange_of(place: Place, folder: Path, name: str) -> TemplateExchange:
    servers = [server_at(address, place.database) for address in place.addresses]
    cluster = Cluster(servers, Layout(place.database, place.cluster))
    cluster.connect()
    folder.mkdir(exist_ok=True)
    return TemplateExchange(cluster, name, folder)


@pytest.mark.parametrize("place", ["single"], indirect=True)
def test_templates_when_shared_then_others_get_them_until_they_are_old(
    place: Place, tmp_path: Path
):
    saved = [SavedTemplate("192.0.2.1", 7, 9, OCTETS)]
    SharedTemplates(tmp_path / "one").write(saved)
    exchange_of(place, tmp_path / "one", "one").exchange(NOW)
    other = SharedTemplates(tmp_path / "two")
    assert other.read_others() is None
    exchange_of(place, tmp_path / "two", "two").exchange(NOW + 60)
    assert other.read_others() == saved
    assert other.read_others() is None
    exchange_of(place, tmp_path / "two", "two").exchange(NOW + FORGET_SECONDS + 60)
    assert other.read_others() == []
    # Its own are not those of others.
    exchange_of(place, tmp_path / "one", "one").exchange(NOW + 60)
    assert SharedTemplates(tmp_path / "one").read_others() == []


def test_templates_when_collectors_differ_then_none_is_lent():
    differing = [SavedTemplate("192.0.2.1", 7, 9, each) for each in (OCTETS, PACKETS, OCTETS)]
    agreed = [SavedTemplate("192.0.2.2", 7, 9, OCTETS)] * 2
    assert list(agreed_templates([*differing, *agreed]).values()) == [OCTETS]


def test_templates_when_more_than_is_shared_then_the_first_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("appliance.plugins.clickhouse.shared_templates.MAX_OCTETS", 1000)
    saved = [SavedTemplate(f"192.0.2.{n}", 7, 9, OCTETS) for n in range(200)]
    read = templates_of(body_of(saved))
    assert 5 < len(read) < 30
    assert read == saved[: len(read)]


PIECES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=8),
    max_leaves=30,
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=5) | PIECES)
def test_body_when_anything_then_what_fits_is_read(piece: Any):
    good = SavedTemplate("2001:db8::1", 7, 10, OCTETS)
    (own,) = json.loads(body_of([good]))
    pieces = [*piece, own] if isinstance(piece, list) else [own, piece]
    assert good in templates_of(json.dumps(pieces))
    assert templates_of(json.dumps(piece)) == [] or isinstance(piece, list)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"one": 5}', "\udcff"])
def test_file_of_others_when_damaged_then_an_error_and_no_crash(text: str, tmp_path: Path):
    (tmp_path / OTHERS_FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(StorageError, match=OTHERS_FILE):
        SharedTemplates(tmp_path).read_others()
