"""A box whose flows are in ClickHouse: the playbook makes it, and answers come from there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.box.conftest import Workplace
from tests.box.deployment import Deployment
from tests.box.processes import eventually
from tests.box.releases import CLICKHOUSE_RELEASES

FLOWS = 500
ANSWER_SECONDS = 60
COUNT = "SELECT count() FROM netflow.flows"


@pytest.fixture(scope="module")
def box(workplace: Workplace) -> Iterator[Deployment]:
    """A machine of its own, which is gone before the one of the other tests is started."""
    if workplace.release.name not in CLICKHOUSE_RELEASES:
        pytest.skip(f"{workplace.release.name} has no package clickhouse-server")
    made = workplace.machine("clickhouse")
    variables = {"appliance_bundle": str(workplace.bundle), "database_engine": "clickhouse"}
    try:
        made.start()
        deployment = Deployment(made, workplace.folder, variables)
        deployment.converge()
        yield deployment
    finally:
        made.stop()


def n_rows(box: Deployment) -> int:
    """Return how many flows are in ClickHouse, as root counts them."""
    return int(box.machine.run(f'sudo -i clickhouse-client --query "{COUNT}"'))


def test_flows_when_sent_then_clickhouse_has_them_and_answers(box: Deployment):
    box.send_flows(FLOWS)
    eventually(lambda: n_rows(box) >= FLOWS, "all flows there", ANSWER_SECONDS)
    token = box.sign_in()
    answer = box.ask("/api/v1/explore/top?by=protocol&last=2h", token)
    assert sum(row["flows"] for row in answer["rows"]) >= FLOWS
    assert box.ask("/api/v1/netflow/getProtocolDistribution", token)


def test_flows_when_asked_for_by_others_on_the_box_then_refused(box: Deployment):
    other = box.machine.attempt(
        f'cd / && HOME=/ clickhouse-client --user default --query "{COUNT}"'
    )
    assert "denied" in other.stdout + other.stderr
    listening = box.machine.run("ss -Hltn | awk '{print $4}'")
    ports = [line for line in listening.split() if line.endswith((":8123", ":9000", ":9009"))]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports), listening


def test_playbook_when_run_again_then_nothing_changes(box: Deployment):
    assert box.converge().changed == 0
