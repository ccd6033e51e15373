"""What an operator sees: settings, `appliance check`, metrics, and a loader in its process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.app import open_app
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.contracts import FAIL, HINT, OK
from appliance.errors import SettingsError
from appliance.plugins.clickhouse.checks import ClickHouseCheck
from appliance.plugins.clickhouse.metrics import WriterMetrics
from appliance.process_parts import gather_loaders
from tests.clickhouse_servers import ClickHouseCluster, free_ports
from tests.plugins.clickhouse.world import LogOfFlows, Place, load_all, stored_sums


def test_settings_when_a_server_is_named_then_flows_are_written_and_checked(
    single: Place,
    conf: Callable[[str], Path],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
):
    settings = (
        f"data_directory: {folder}\ncollector: {{name: vienna}}\n"
        f"clickhouse: {{addresses: ['{single.addresses[0]}'], database: {single.database}}}\n"
    )
    log = LogOfFlows(folder)
    log.write(50)
    app = open_app(conf(settings))
    (loader,) = [each for each in gather_loaders(app) if each.name == "ClickHouse"]
    loader.load_once(time.time())
    loader.finish(time.time())
    assert stored_sums(single.server(), "vienna") == log.sums()
    run_command_line(group, ["-confPath", f"{conf(settings)}/", "check"])
    lines = " ".join(capsys.readouterr().out.split())
    assert "18.16.1 (legacy: no codecs, no indexes of columns)" in lines
    assert "vienna wrote 50 rows" in lines


def test_settings_when_several_servers_and_no_cluster_then_refused(conf: Callable[[str], Path]):
    app = open_app(conf("clickhouse: {addresses: ['a:8123', 'b:8123']}\n"))
    with pytest.raises(SettingsError, match="need the name of their cluster"):
        gather_loaders(app)


@pytest.mark.parametrize(
    "text",
    ["addresses: ['a']", "addresses: ['a:0']", "addresses: ['a/b:1']", "database: 'a`b'"],
)
def test_settings_when_they_do_not_fit_then_refused(text: str, conf: Callable[[str], Path]):
    with pytest.raises(SettingsError, match="expected"):
        open_app(conf(f"clickhouse: {{{text}}}\n"))


def test_password_when_settings_are_shown_then_hidden(
    conf: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
):
    folder = conf("clickhouse: {addresses: [], password: hunter2}\n")
    run_command_line(group, ["-confPath", f"{folder}/", "check", "--settings"])
    output = capsys.readouterr().out
    assert "clickhouse.password" in output
    assert "hunter2" not in output


def test_check_when_servers_of_a_cluster_are_away_then_told(
    cluster: ClickHouseCluster, whole_cluster: Place, folder: Path
):
    LogOfFlows(folder).write(30)
    loader = whole_cluster.loader(folder)
    load_all(loader)
    check = ClickHouseCheck(loader.cluster, "one", loader.status.path.parent)
    texts = {line.text: line.status for line in check.findings()}
    assert texts["2 of 2 shards and 4 of 4 servers are there"] == OK
    assert set(texts.values()) == {OK}
    cluster.zookeeper.kill()
    texts = {line.text: line.status for line in check.findings()}
    assert any(text.endswith("its ZooKeeper is away") for text in texts)
    cluster.nodes[0].kill()
    texts = {line.text: line.status for line in check.findings()}
    assert texts["2 of 2 shards and 3 of 4 servers are there"] == HINT
    cluster.nodes[1].kill()
    assert "1 of 2 shards and 2 of 4 servers are there" in {f.text for f in check.findings()}


def test_check_when_nothing_is_there_then_fails_and_metrics_tell(folder: Path):
    LogOfFlows(folder).write(30)
    (port,) = free_ports(1)
    loader = Place([f"127.0.0.1:{port}"]).loader(folder)
    status_folder = loader.status.path.parent
    metrics = WriterMetrics(status_folder)
    assert list(metrics.collect()) == []
    for _ in range(2):
        with pytest.raises(Exception, match="cannot be reached"):
            loader.load_once(1_801_429_200.0)
    findings = ClickHouseCheck(loader.cluster, "one", status_folder).findings()
    assert findings[-1].status == FAIL
    assert findings[-1].text == "no server is there: the flow log keeps what is to be written"
    values = {family.name: family.samples[0].value for family in metrics.collect()}
    assert values["appliance_clickhouse_errors"] == 2
    assert values["appliance_clickhouse_failing_since_timestamp_seconds"] == 1_801_429_200


def test_metrics_when_rows_are_written_then_counted_over_restarts(single: Place, folder: Path):
    log = LogOfFlows(folder)
    for _ in range(2):
        log.write(30)
        loader = single.loader(folder)
        load_all(loader)
        loader.close()
    metrics = WriterMetrics(loader.status.path.parent)
    values = {family.name: family.samples[0].value for family in metrics.collect()}
    # A batch that was begun by the process before is looked after again, not written again.
    assert values["appliance_clickhouse_rows"] == 60
    assert values["appliance_clickhouse_errors"] == 0
    assert values["appliance_clickhouse_newest_row_timestamp_seconds"] > 1_801_429_000
