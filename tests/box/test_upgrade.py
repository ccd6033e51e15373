"""Another version, and back to the former one: the data stays."""

from __future__ import annotations

import pytest

import appliance
from tests.box.deployment import built_bundle
from tests.box.processes import eventually

NEWER = f"{appliance.__version__}.post1"


@pytest.fixture(scope="module")
def newer_bundle(workplace):
    return built_bundle(workplace.folder, workplace.release, NEWER)


def facts(box):
    """Return what a version must keep: accounts and sums."""
    token = box.sign_in()
    talkers = box.ask("/api/v1/netflow/getIngressTopTalkers", token)
    assert talkers
    return sorted(row["HostIP"] for row in talkers)


def test_version_when_upgraded_and_rolled_back_then_data_and_accounts_stay(box, newer_bundle):
    before = facts(box)
    box.converge("--tags", "appliance", appliance_bundle=str(newer_bundle))
    assert box.ask("/v1/api/")["version"] == NEWER
    assert facts(box) == before
    box.converge(
        "--tags", "appliance", appliance_bundle="", appliance_version=appliance.__version__
    )
    assert box.ask("/v1/api/")["version"] == appliance.__version__
    assert facts(box) == before
    versions = box.machine.run("ls /opt/netflow-appliance/versions").split()
    assert versions == [appliance.__version__, NEWER]
    eventually(lambda: "loader" in box.machine.run("pgrep -af appliance"), "running again", 10)
