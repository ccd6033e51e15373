"""The Debian package on a bare machine: installed, upgraded, removed and purged by apt."""

from __future__ import annotations

import re

import pytest

import appliance
from tests.box.deployment import HTTPS, PASSWORD_FILE, Deployment
from tests.box.packaging import APT, install_package
from tests.box.processes import eventually, run

NEWER = f"{appliance.__version__}.post1"
SETTINGS = "/etc/netflow-appliance/appliance.yml"
FLOWS = 500
UNITS = (
    *("appliance-collector.service", "appliance-api.service", "appliance-helper.socket"),
    *("appliance-network-rollback.timer", "appliance-backup.timer"),
)


@pytest.fixture(scope="module")
def package(workplace, package_of):
    """The package as `make deb` makes it, but for the compression, which takes long."""
    return package_of(workplace.release)


@pytest.fixture(scope="module")
def newer_package(workplace, package):
    """The same package, of a program that says it is newer."""
    tree = workplace.folder / "deb-tree"
    run(["dpkg-deb", "--raw-extract", package, tree])
    control = tree / "DEBIAN" / "control"
    version = re.search(r"^Version: (.*)$", control.read_text(), re.MULTILINE)[1]
    raised = version.replace(appliance.__version__, NEWER)
    control.write_text(control.read_text().replace(version, raised))
    (init,) = tree.glob("opt/*/versions/deb/lib/python3*/site-packages/appliance/__init__.py")
    init.write_text(init.read_text().replace(f'"{appliance.__version__}"', f'"{NEWER}"'))
    newer = workplace.folder / "newer.deb"
    run(["dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, newer], 300)
    return newer


@pytest.fixture(scope="module")
def bare(workplace):
    """A machine of its own, which is gone before the one of the other tests is started."""
    made = workplace.machine("packaged")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def installed(workplace, bare, package):
    """The machine with the package, and what apt printed meanwhile."""
    printed = install_package(bare, package)
    return Deployment(bare, workplace.folder, {}), printed


def states(machine, question: str) -> list[str]:
    return machine.attempt(f"systemctl {question} {' '.join(UNITS)}").stdout.split()


def test_package_when_installed_then_it_runs_and_says_where_and_how_to_sign_in(installed):
    box, printed = installed
    assert re.search(r"browser +https://[0-9.]+:8443/console/\n", printed)
    assert f"sudo cat {PASSWORD_FILE}" in printed
    assert states(box.machine, "is-active") == ["active"] * len(UNITS), printed
    assert states(box.machine, "is-enabled") == ["enabled"] * len(UNITS)
    assert box.ask("/v1/api/")["version"] == appliance.__version__
    assert box.ask("/api/v1/netflow/getTopApps", box.sign_in()) == []
    assert box.status("/console/", base=HTTPS) == 200


def test_password_when_installed_then_only_root_and_the_appliance_can_read_it(installed):
    box, printed = installed
    password = box.machine.run(f"cat {PASSWORD_FILE}").strip()
    assert password not in printed
    assert box.machine.run(f"stat -c '%U %G %a' {PASSWORD_FILE}") == "root netflow 640\n"
    # By the file: sudo writes its arguments to the journal.
    logs = f"journalctl --no-pager | grep -cFf {PASSWORD_FILE}; grep -rlFf {PASSWORD_FILE} /var/log"
    assert box.machine.attempt(logs).stdout.split() == ["0"]


def test_command_when_installed_then_it_knows_the_package_and_is_documented(installed):
    box, _ = installed
    details = box.machine.run("appliance --version --verbose")
    assert re.search(r"installed +Debian package netflow-appliance 0", details)
    assert re.search(r"^kernels +C,\s+/opt/", details, re.MULTILINE), details
    listed = box.machine.run("dpkg -L netflow-appliance").splitlines()
    assert "/usr/share/man/man1/appliance-top.1.gz" in listed
    assert box.machine.run("dpkg --verify netflow-appliance") == ""
    complete = "COMP_WORDS='appliance ser' COMP_CWORD=1 _APPLIANCE_COMPLETE=bash_complete appliance"
    assert {"plain,series", "plain,serve"} <= set(box.machine.run(complete).split())


def test_flows_when_sent_then_they_are_kept_and_answered(installed):
    box, _ = installed
    box.send_flows(FLOWS)
    eventually(lambda: box.n_flows() >= FLOWS, "all flows there")
    token = box.sign_in()
    eventually(lambda: box.ask("/api/v1/netflow/getIngressTopTalkers", token), "in the answers")


def test_package_when_upgraded_then_settings_data_and_disabled_units_stay(installed, newer_package):
    box, _ = installed
    machine = box.machine
    machine.run(f"echo '# changed by hand' >>{SETTINGS}")
    machine.run("systemctl disable --now appliance-backup.timer")
    flows = box.n_flows()
    machine.put(newer_package, "/root/newer.deb")
    printed = machine.run(f"cd /root && {APT} install ./newer.deb 2>&1", 600)
    assert box.ask("/v1/api/")["version"] == NEWER, printed
    assert machine.run(f"tail -n 1 {SETTINGS}") == "# changed by hand\n"
    assert box.n_flows() == flows
    assert states(machine, "is-active") == ["active"] * (len(UNITS) - 1) + ["inactive"]
    assert box.sign_in()


def test_package_when_removed_then_the_data_stays_and_installing_again_finds_it(installed):
    box, _ = installed
    machine = box.machine
    flows = box.n_flows()
    machine.run(f"{APT} remove netflow-appliance 2>&1", 300)
    assert "active" not in states(machine, "is-active")
    assert machine.attempt("ls -d /opt/netflow-appliance /usr/bin/appliance").stdout == ""
    machine.run(f"test -s {SETTINGS} && test -s /var/lib/netflow-appliance/appliance.sqlite")
    printed = machine.run(f"{APT} install /root/newer.deb 2>&1", 600)
    assert box.n_flows() == flows, printed
    assert box.sign_in()


def test_package_when_purged_then_nothing_of_it_is_left(installed):
    box, _ = installed
    printed = box.machine.run(f"{APT} purge netflow-appliance 2>&1", 300)
    places = "/etc /lib /opt /run /usr /var/backups /var/lib"
    left = f"find {places} -xdev -name '*netflow-appliance*' -o -xdev -name 'appliance-*.timer'"
    # /opt is gone, too, where nothing else was in it.
    assert box.machine.attempt(left).stdout == "", printed
    assert box.machine.attempt("getent passwd netflow; getent group netflow").stdout == ""
    assert box.machine.run("systemctl list-units --all --plain --no-legend 'appliance*'") == ""
