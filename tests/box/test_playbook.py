"""The playbook: its form, check mode, a first run on a bare system, and a second one."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path

import pytest

from tests.box.deployment import (
    ANSIBLE,
    PLAYBOOK_SECONDS,
    Recap,
    copied_source,
    environment,
    program,
)
from tests.box.networks import MANAGEMENT_BOX
from tests.box.processes import IN_VIRTUAL_MACHINE, attempt
from tests.box.releases import CLICKHOUSE_RELEASES
from tests.box.tree import USER

FIRST_RUN_SECONDS = 3600 if IN_VIRTUAL_MACHINE else 600


def test_playbook_when_linted_then_it_is_fit_for_production(tmp_path):
    lint = [program("ansible-lint"), "--offline", "--profile", "production", "--nocolor"]
    done = attempt(lint, 300, cwd=ANSIBLE, env=environment(tmp_path) | _path())
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_playbook_when_checked_on_a_bare_system_then_it_writes_nothing(deployment):
    recap = deployment.play("--check")
    assert (recap.failed, recap.changed > 10) == (0, True), recap.text
    there = deployment.machine.attempt("ls -d /opt/netflow-appliance /etc/netflow-appliance")
    assert there.returncode != 0


@pytest.mark.parametrize(
    ("role", "variables", "sentence"),
    [
        ("base", {"base_rmem_max_octets": 4096}, "expected 67108864 or more, found 4096"),
        ("database", {"database_name": "a-b"}, "expected letters, digits and _"),
        ("database", {"database_engine": "x"}, "value of database_engine must be one of"),
        (
            "clickhouse",
            {"database_engine": "clickhouse", "clickhouse_user": "default"},
            "expected another name than default",
        ),
        ("appliance", {"appliance_version": "9.9"}, "version 9.9 is not on the box"),
        ("appliance", {"appliance_bundle": "/x-1-cp39-x86_64.tar"}, "for the box's Python (cp3"),
        ("web", {"web_certificate": "/x"}, "web_certificate and web_key are needed together"),
    ],
)
def test_playbook_when_a_variable_is_wrong_then_it_stops_with_a_sentence(
    deployment, role, variables, sentence
):
    recap = deployment.play("--check", "--tags", role, **{"appliance_bundle": ""} | variables)
    assert recap.failed == 1
    assert sentence in " ".join(recap.text.split())


def test_clickhouse_when_the_release_has_no_package_then_refused_with_a_sentence(
    deployment, workplace
):
    if workplace.release.name in CLICKHOUSE_RELEASES:
        pytest.skip(f"{workplace.release.name} has the package clickhouse-server")
    recap = deployment.play("--check", "--tags", "clickhouse", database_engine="clickhouse")
    assert recap.failed == 1
    assert "has no package clickhouse-server" in " ".join(recap.text.split())


def test_playbook_when_run_on_a_bare_system_then_it_serves_within_ten_minutes(deployment):
    began = time.monotonic()
    recap = deployment.converge()
    seconds = time.monotonic() - began
    print(f"first run: {seconds:.0f} s")
    assert seconds < FIRST_RUN_SECONDS
    assert "Ready: https://" in recap.text
    assert deployment.ask("/v1/api/")["status"] == "ok"


def test_database_when_made_then_its_user_may_use_both_databases_from_this_box_only(box):
    query = "SELECT host, db FROM mysql.db WHERE user = 'netflow'"
    rows = box.machine.run(f'mariadb -N -e "{query}"').splitlines()
    assert sorted(rows) == [
        f"{host}\t{database}"
        for host in ("127.0.0.1", "localhost")
        for database in ("netflow", "netflow_appliance")
    ]


def test_playbook_when_run_again_by_make_then_nothing_changes(box, workplace):
    checkout = copied_source(workplace.folder / "checkout", "Makefile", "ansible")
    (checkout / ".venv").symlink_to(sys.prefix)
    python = workplace.release.python
    tag = f"cp{python.replace('.', '')}"
    # An older version, though not by letters, one for another machine, one for another Python.
    for other in (f"00.0.1-{tag}-x86_64", f"9.9-{tag}-aarch64", "9.9-cp39-x86_64"):
        unfit = checkout / "dist" / f"netflow-appliance-{other}.tar"
        unfit.parent.mkdir(exist_ok=True)
        unfit.write_bytes(b"not to be taken")
    installed = ["-o", ".venv/.installed", "-o", ".venv/.box-installed"]
    named = [f"HOST={MANAGEMENT_BOX}", f"SSH_USER={USER}", f"BOX_PYTHONS={python}"]
    command = ["make", "-C", checkout, *installed, "appliance", *named]
    command += [f"ANSIBLE_OPTIONS=--private-key {box.machine.key}"]
    own = environment(workplace.folder) | within(workplace.networks, workplace.folder)
    done = attempt(command, PLAYBOOK_SECONDS, env=os.environ | own)
    recap = Recap.of(done)
    assert (done.returncode, recap.changed, recap.failed) == (0, 0, 0), recap.text
    assert "Ready: https://" in recap.text


def within(networks, folder: Path) -> dict[str, str]:
    """Return what lets Ansible's connections, and nothing else, begin in the tester's network."""
    ssh = folder / "ssh-in-lan"
    ssh.write_text(f'#!/bin/sh\nexec {shlex.join(networks.in_lan(["ssh"]))} "$@"\n')
    ssh.chmod(0o755)
    return {"ANSIBLE_SSH_EXECUTABLE": str(ssh), "ANSIBLE_SSH_TRANSFER_METHOD": "piped"}


def _path() -> dict[str, str]:
    """Return the environment in which ansible-lint finds the Ansible beside it."""
    beside = Path(program("ansible-lint")).parent
    return {"PATH": f"{beside}:{os.environ['PATH']}", "HOME": os.environ.get("HOME", "/")}
