"""The flow log in a topic of a real broker: every flow at least once, whatever is away."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.app import open_app
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.contracts import FAIL
from appliance.errors import StorageError
from appliance.plugins.kafka import loader as loader_module
from appliance.plugins.kafka import messages
from appliance.plugins.kafka.loader import KafkaLoader
from appliance.process_parts import gather_loaders, plugin_findings
from tests.plugins.clickhouse.world import START, LogOfFlows
from tests.plugins.kafka.broker import Broker


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker()
    made.start()
    yield made
    made.kill()


def loader_of(broker: Broker, folder: Path) -> KafkaLoader:
    client = {"bootstrap.servers": broker.address, "log_level": 0}
    return KafkaLoader(client, "flows", folder / "flowlog", folder / "kafka", "vienna")


def load_all(loader: KafkaLoader) -> int:
    rows = 0
    while report := loader.load_once(START):
        rows += report.rows
        if not report.rows:
            return rows
    return rows


def sums(tables: list[Any]) -> tuple[int, int]:
    """Return rows and octets, each row once."""
    seen = {
        (row["segment"], row["row"]): row["octet_delta_count"] or 0
        for table in tables
        for row in table.select(["segment", "row", "octet_delta_count"]).to_pylist()
    }
    return len(seen), sum(seen.values())


def test_log_when_published_then_the_topic_has_every_flow_once(broker: Broker, tmp_path: Path):
    log = LogOfFlows(tmp_path)
    log.write(4_500)
    log.seal()
    log.write(700)
    loader = loader_of(broker, tmp_path)
    assert load_all(loader) == 5_200
    tables = broker.messages(5_200)
    assert sum(table.num_rows for table in tables) == 5_200
    assert sums(tables) == log.sums()[:2]
    assert max(table.num_rows for table in tables) <= messages.MESSAGE_ROWS
    loader.close()
    log.write(60)
    assert load_all(loader_of(broker, tmp_path)) == 60


def test_messages_when_large_then_split_below_the_brokers_limit(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(messages, "LARGEST_MESSAGE", 20_000)
    log = LogOfFlows(tmp_path)
    log.write(2_000)
    load_all(loader_of(broker, tmp_path))
    tables = broker.messages(2_000)
    assert len(tables) > 2
    assert sums(tables) == log.sums()[:2]


def test_loader_when_it_is_killed_before_it_knows_then_rows_come_again_and_none_is_missing(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loader_module, "BATCH_ROWS", 100)
    log = LogOfFlows(tmp_path)
    log.write(350)

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    for _ in range(3):
        loader = loader_of(broker, tmp_path)
        loader.load_once(START)
        with monkeypatch.context() as patch:
            patch.setattr(loader.place, "keep", kill)
            with pytest.raises(Killed):
                loader.load_once(START)
        loader.close()
    load_all(loader_of(broker, tmp_path))
    tables = broker.messages(550)
    assert sum(table.num_rows for table in tables) > 350
    assert sums(tables) == log.sums()[:2]


def test_broker_when_away_then_the_log_keeps_the_rows_until_it_is_back(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loader_module, "_ACKNOWLEDGE_SECONDS", 2.0)
    log = LogOfFlows(tmp_path)
    log.write(100)
    loader = loader_of(broker, tmp_path)
    load_all(loader)
    position = loader.cursor()
    broker.kill()
    log.write(250)
    with pytest.raises(StorageError, match=f"Kafka {broker.address}"):
        loader.load_once(START)
    assert loader.cursor() == position
    broker.start()
    assert load_all(loader) == 250
    assert sum(table.num_rows for table in broker.messages(250)) == 250


def test_log_when_two_processes_publish_then_one_waits(broker: Broker, tmp_path: Path):
    LogOfFlows(tmp_path).write(10)
    first, second = loader_of(broker, tmp_path), loader_of(broker, tmp_path)
    first.load_once(START)
    with pytest.raises(StorageError, match="another process publishes"):
        second.load_once(START)


def test_settings_when_a_broker_is_named_then_flows_are_published_and_checked(
    broker: Broker,
    tmp_path: Path,
    conf: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
):
    tree = {"data_directory": str(tmp_path / "data"), "collector": {"name": "vienna"}}
    folder = conf(json.dumps({**tree, "kafka": {"servers": [broker.address]}}))
    LogOfFlows(tmp_path / "data").write(50)
    (loader,) = (one for one in gather_loaders(open_app(folder)) if one.name == "Kafka")
    loader.load_once(START)
    assert sum(table.num_rows for table in broker.messages(50)) == 50
    run_command_line(group, ["-confPath", f"{folder}/", "check"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"{broker.address} has the topic flows, 1 partitions" in text
    broker.kill()
    run_command_line(group, ["-confPath", f"{folder}/", "check"])
    assert "the flow log keeps what is to be published" in capsys.readouterr().out


def test_package_when_it_is_missing_then_said_and_nothing_is_lost(
    tmp_path: Path, conf: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    tree = {"data_directory": str(tmp_path / "data"), "kafka": {"servers": ["127.0.0.1:1"]}}
    # Without the plugin that has it, there is no collector.name.
    app = open_app(conf(json.dumps({**tree, "plugins": {"disabled": ["clickhouse"]}})))
    LogOfFlows(tmp_path / "data").write(50)
    (loader,) = (one for one in gather_loaders(app) if one.name == "Kafka")
    with pytest.raises(StorageError, match="the package confluent-kafka is missing"):
        loader.load_once(START)
    assert loader.cursor() == (0, 0)
    (finding,) = [each for each in plugin_findings(app) if each.what == "Kafka"]
    assert finding.status == FAIL
