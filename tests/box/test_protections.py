"""What systemd and the kernel say of the running services, not what the files ask for."""

from __future__ import annotations

import json

import pytest

from tests.box.deployment import HTTPS, PASSWORD_FILE
from tests.box.networks import MANAGEMENT_BOX
from tests.box.processes import IN_VIRTUAL_MACHINE, attempt, eventually

UNITS = ("appliance-api.service", "appliance-collector.service")
DATABASE_PASSWORD_FILE = "/etc/netflow-appliance/database.password"
EXPOSURE_TENTHS = 20
LEAST_BUFFER_OCTETS = 64_000_000
"""What the collector asks for, `collector.receive_buffer`; the limit of the kernel is higher."""


def shown(box, unit: str, *names: str) -> dict[str, str]:
    lines = box.machine.run(f"systemctl show {unit} --property={','.join(names)}").splitlines()
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("unit", UNITS)
def test_unit_when_running_then_systemd_finds_little_exposed(box, unit):
    box.machine.run(f"systemd-analyze security --threshold={EXPOSURE_TENTHS} {unit}")


@pytest.mark.parametrize("unit", UNITS)
def test_unit_when_running_then_no_process_of_it_has_any_rights(box, unit):
    group = shown(box, unit, "ControlGroup")["ControlGroup"]
    files = [f"/sys/fs/cgroup{hierarchy}{group}/cgroup.procs" for hierarchy in ("", "/systemd")]
    pids = box.machine.attempt(f"cat {' '.join(files)}").stdout.split()
    user = box.machine.run("id -u netflow").strip()
    assert pids
    for pid in pids:
        status = dict(
            line.split(":\t", 1)
            for line in box.machine.run(f"cat /proc/{pid}/status").splitlines()
            if ":\t" in line
        )
        assert set(status["Uid"].split()) == {user}
        assert [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")] == [0, 0, 0]
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


@pytest.mark.parametrize("unit", UNITS)
def test_unit_when_running_then_it_cannot_write_the_system(box, unit):
    pid = shown(box, unit, "MainPID")["MainPID"]
    mounts = box.machine.run(f"cat /proc/{pid}/mounts").splitlines()
    writable = {
        line.split()[1]
        for line in mounts
        if "rw" in line.split()[3].split(",") and not line.split()[1].startswith(("/proc", "/dev"))
    }
    assert "/" not in writable
    assert "/var/lib/netflow-appliance" in writable
    assert not {path for path in writable if path.startswith(("/etc", "/usr", "/opt", "/home"))}


@pytest.mark.parametrize("unit", UNITS)
def test_unit_when_running_then_it_is_watched_and_restarted(box, unit):
    found = shown(box, unit, "Type", "WatchdogUSec", "Restart", "TimeoutStopUSec", "KillMode")
    assert (found["Type"], found["Restart"], found["KillMode"]) == ("notify", "on-failure", "mixed")
    assert found["WatchdogUSec"] == "1min"
    first = shown(box, unit, "WatchdogTimestampMonotonic")["WatchdogTimestampMonotonic"]
    box.machine.run("sleep 4")
    assert shown(box, unit, "WatchdogTimestampMonotonic")["WatchdogTimestampMonotonic"] > first


def test_helper_when_listening_then_only_the_appliance_may_connect(box):
    told = box.machine.run("stat -c '%U %G %a' /run/netflow-appliance/helper.sock").split()
    assert told == ["root", "netflow", "660"]
    told = box.machine.run("stat -c '%U %G %a' /run/netflow-appliance/web/*.sock").split()
    assert told == ["netflow", "www-data", "660"] * 2


def test_secrets_when_stored_then_others_cannot_read_them(box):
    found = box.machine.run(
        "stat -c '%U %a %n' /var/lib/netflow-appliance /var/lib/netflow-appliance/secret"
        " /etc/netflow-appliance /etc/netflow-appliance/* /etc/nginx/netflow-appliance/key.pem"
    )
    for line in found.splitlines():
        mode = line.split()[1]
        assert mode.endswith("0"), line
    assert "netflow 600 /var/lib/netflow-appliance/secret" in found


def test_passwords_when_services_run_then_no_process_has_one_as_an_argument(box):
    """Of the box itself; the test's own search reads the pattern from the file."""
    for path in (DATABASE_PASSWORD_FILE, PASSWORD_FILE):
        search = f"grep --text --files-with-matches --file={path} /proc/[0-9]*/cmdline"
        assert box.machine.attempt(search).stdout == ""
        assert len(box.machine.run(f"cat {path}").strip()) > 10


def test_services_when_one_restarts_then_the_other_runs_on(box):
    pids = {unit: shown(box, unit, "MainPID")["MainPID"] for unit in UNITS}
    for restarted, kept in (UNITS, reversed(UNITS)):
        before = shown(box, kept, "MainPID")
        box.machine.run(f"systemctl restart {restarted}")
        assert shown(box, restarted, "MainPID")["MainPID"] != pids[restarted]
        assert shown(box, kept, "MainPID") == before


@pytest.mark.parametrize("unit", UNITS)
def test_unit_when_killed_then_it_comes_back(box, unit):
    before = shown(box, unit, "MainPID")["MainPID"]
    box.machine.run(f"systemctl kill --signal=KILL {unit}")
    box.machine.run(
        f'for i in $(seq 100); do systemctl is-active -q {unit} && test "$(systemctl show'
        f' --property=MainPID --value {unit})" != {before} && exit 0; sleep .2; done; exit 1'
    )


def test_collector_when_stopped_then_it_ends_by_itself_in_order(box):
    unit = "appliance-collector.service"
    box.machine.run(f"systemctl stop {unit}")
    try:
        found = shown(box, unit, "Result", "ExecMainStatus", "ExecMainCode")
        assert found == {"Result": "success", "ExecMainStatus": "0", "ExecMainCode": "1"}
    finally:
        box.machine.run(f"systemctl start {unit}")


def test_packet_filter_when_loaded_then_only_what_is_configured_comes_in(box):
    box.machine.run("systemd-run --unit=other-server python3 -m http.server 8000 --directory /run")
    connect = "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 8000), 5)'"
    try:
        eventually(lambda: box.machine.attempt(connect).returncode == 0, "listening", 30)
        reachable = {port: is_reachable(box, port) for port in (22, 8443, 9999, 8000, 3306, 80)}
    finally:
        box.machine.run("systemctl stop other-server")
    assert [port for port, found in reachable.items() if found] == [22, 8443, 9999]


def test_receive_buffer_when_configured_then_the_kernel_grants_it(box):
    """In a container only the file can be looked at: the kernel's limits are its host's."""
    told = box.machine.run("cat /etc/sysctl.d/60-netflow-appliance.conf")
    assert int(told.rsplit("=", 1)[1]) >= LEAST_BUFFER_OCTETS
    if IN_VIRTUAL_MACHINE:
        found = metric(box, "appliance_receive_buffer_octets")
        assert found >= LEAST_BUFFER_OCTETS


def metric(box, name: str) -> float:
    token = box.sign_in()
    text = box.machine.curl("-k", "-H", f"x-apiauth: Bearer {token}", f"{HTTPS}/metrics")
    return min(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def is_reachable(box, port: int) -> bool:
    connect = f"exec 3<>/dev/tcp/{MANAGEMENT_BOX}/{port}"
    command = ["timeout", "2", "bash", "-c", connect]
    return attempt(box.machine.networks.in_lan(command)).returncode == 0


def test_analysis_when_printed_then_the_helpers_exposure_is_reported(box):
    told = box.machine.run("systemd-analyze security --json=short appliance-helper@x.service")
    print("helper:", sum(1 for row in json.loads(told) if row.get("exposure")), "findings")
