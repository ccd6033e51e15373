"""Debian 12 becomes 13 below an appliance: the manual's steps as they stand, and what stays."""

from __future__ import annotations

import re

import pytest

from appliance.manual import chapter_text
from tests.box.deployment import Deployment, program
from tests.box.packaging import install_package
from tests.box.processes import IN_VIRTUAL_MACHINE, eventually
from tests.box.releases import RELEASES
from tests.box.test_package import SETTINGS, UNITS, states

pytestmark = pytest.mark.release_upgrade
OLD, NEW = RELEASES["bookworm"], RELEASES["trixie"]
FLOWS = 500
USER, USER_PASSWORD = "customer17", "th!s1s@paSw0RD"
CHANGED = "flow_log:\n  retention_age: 77d\n"
STEP_SECONDS = 1100
# As where somebody answers each of apt's questions with its default.
NO_QUESTIONS = """\
APT::Get::Assume-Yes "true";
Dpkg::Options { "--force-confdef"; "--force-confold"; };
"""


def steps() -> list[str]:
    """Return the lines that the manual gives for it."""
    _, _, text = chapter_text("box").partition("## From Debian 12 to 13\n")
    block = re.search(r"\n\n((?: {4}.*\n)+)", text)
    assert block
    return [line.strip() for line in block[1].splitlines()]


@pytest.fixture
def machine(workplace):
    """A Debian 12 that will become 13."""
    if workplace.release != OLD or IN_VIRTUAL_MACHINE:
        pytest.skip("begins as a Debian 12 in a container: `make test-box` without RELEASE")
    machine = workplace.machine("upgraded")
    machine.will_be_upgraded = True
    try:
        machine.start()
        machine.put(NO_QUESTIONS, "/etc/apt/apt.conf.d/99test")
        yield machine
    finally:
        machine.stop()


def use(box) -> None:
    """Let it have some flows and a user."""
    box.send_flows(FLOWS)
    eventually(lambda: box.n_flows() >= FLOWS, "all flows there")
    add = f"appliance user add {USER} --role User --password-stdin"
    box.machine.run(f"printf %s '{USER_PASSWORD}' | {add}")


def walk(machine, lines) -> None:
    """Do the steps as they stand."""
    for line in lines:
        if line == "reboot":
            machine.mark_boot()
            machine.attempt(line)
            machine.wait_rebooted()
        else:
            print(line, machine.run(f"cd /root && {line} 2>&1", STEP_SECONDS), sep="\n")


def require_kept(box, flows: int) -> None:
    """Look at what must stay, whatever installed the program, and that it goes on."""
    details = box.machine.run("appliance --version --verbose")
    assert f"({NEW.name})" in details
    assert re.search(rf"^python +{re.escape(NEW.python)}\.", details, re.MULTILINE)
    pythons = box.machine.run("ls -d /usr/bin/python3.*").split()
    assert pythons == [f"/usr/bin/python{NEW.python}"]
    eventually(lambda: box.status("/v1/api/") == 200, "served again")
    assert box.sign_in()
    assert box.sign_in(USER, USER_PASSWORD)
    assert box.n_flows() == flows
    box.send_flows(FLOWS)
    eventually(lambda: box.n_flows() >= flows + FLOWS, "new flows there")


def test_debian_when_upgraded_below_the_package_then_flows_accounts_and_settings_stay(
    workplace, machine, package_of
):
    install_package(machine, package_of(OLD))
    box = Deployment(machine, workplace.folder, {})
    use(box)
    machine.run(f"cat >>{SETTINGS} <<'END'\n{CHANGED}END")
    machine.run("systemctl restart appliance-collector appliance-api")
    machine.run("systemctl disable --now appliance-backup.timer")
    machine.put(package_of(NEW), f"/root/{package_of(NEW).name}")
    flows = box.n_flows()
    walk(machine, steps())
    require_kept(box, flows)
    assert states(machine, "is-active") == ["active"] * (len(UNITS) - 1) + ["inactive"]
    assert states(machine, "is-enabled") == ["enabled"] * (len(UNITS) - 1) + ["disabled"]
    assert machine.run(f"tail -n 2 {SETTINGS}") == CHANGED
    libraries = machine.run("ls /opt/netflow-appliance/versions/deb/lib").split()
    assert libraries == [f"python{NEW.python}"]


@pytest.mark.skipif(not program("ansible-playbook"), reason="not installed: ansible-playbook")
def test_debian_when_upgraded_below_the_playbook_then_run_again_it_keeps_all(
    workplace, machine, bundle_of
):
    box = Deployment(machine, workplace.folder, {"appliance_bundle": str(bundle_of(OLD))})
    box.converge()
    use(box)
    flows = box.n_flows()
    *before, install, after = steps()
    assert install.startswith("apt install")
    walk(machine, before)
    box.variables["appliance_bundle"] = str(bundle_of(NEW))
    box.converge()
    walk(machine, [after])
    require_kept(box, flows)
    again = box.converge()
    assert again.changed == 0, again.text
    # One that was installed before the upgrade, to which nobody can go back without its bundle.
    older = "/opt/netflow-appliance/versions/0.0.1"
    machine.run(f"mkdir -p {older}/lib/python{OLD.python} && touch {older}/.bundle")
    refused = box.play("--check", appliance_bundle="", appliance_version="0.0.1")
    assert refused.failed == 1
    assert "version 0.0.1 is not on the box for its Python" in " ".join(refused.text.split())
