"""The release that the other boxes of a run are not made of, in short: the package runs there.

All that a box of it does is `make test-box RELEASE=...`.
"""

from __future__ import annotations

import re

import pytest

from tests.box.deployment import Deployment
from tests.box.packaging import BUILD_PACKAGES, install_package
from tests.box.processes import IN_VIRTUAL_MACHINE, eventually
from tests.box.releases import RELEASES

FLOWS = 500


@pytest.fixture(scope="module")
def release(workplace):
    if IN_VIRTUAL_MACHINE:
        pytest.skip("a container shows it: `make test-box`")
    return next(each for each in RELEASES.values() if each != workplace.release)


@pytest.fixture(scope="module")
def machine(workplace, release):
    """A machine of the tree that the package was built in, so that only one tree is fetched."""
    made = workplace.of_release(release, BUILD_PACKAGES).machine("other-release")
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_package_when_installed_on_the_other_release_then_flows_are_answered(
    workplace, package_of, release, machine
):
    package = package_of(release)
    printed = install_package(machine, package)
    box = Deployment(machine, workplace.folder, {})
    details = machine.run("appliance --version --verbose")
    assert f"({release.name})" in details, printed
    assert re.search(rf"^python +{re.escape(release.python)}\.", details, re.MULTILINE)
    assert re.search(r"^kernels +C,\s+/opt/", details, re.MULTILINE), details
    token = box.sign_in()
    box.send_flows(FLOWS)
    eventually(lambda: box.n_flows() >= FLOWS, "all flows there")
    eventually(lambda: box.ask("/api/v1/netflow/getIngressTopTalkers", token), "in the answers")
