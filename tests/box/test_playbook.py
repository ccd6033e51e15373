"""The playbook: its form, check mode, a first run on a bare system, and a second one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.box.deployment import ANSIBLE, environment, program
from tests.box.processes import IN_VIRTUAL_MACHINE, attempt

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
        ("appliance", {"appliance_version": "9.9"}, "version 9.9 is not on the box"),
        ("web", {"web_certificate": "/x"}, "web_certificate and web_key are needed together"),
    ],
)
def test_playbook_when_a_variable_is_wrong_then_it_stops_with_a_sentence(
    deployment, role, variables, sentence
):
    recap = deployment.play("--check", "--tags", role, **{"appliance_bundle": ""} | variables)
    assert recap.failed == 1
    assert sentence in " ".join(recap.text.split())


def test_playbook_when_run_on_a_bare_system_then_it_serves_within_ten_minutes(deployment):
    began = time.monotonic()
    recap = deployment.converge()
    seconds = time.monotonic() - began
    print(f"first run: {seconds:.0f} s")
    assert seconds < FIRST_RUN_SECONDS
    assert "Ready: https://" in recap.text
    assert deployment.ask("/v1/api/")["status"] == "ok"


def test_playbook_when_run_again_then_nothing_changes(box):
    recap = box.converge()
    assert recap.changed == 0, recap.text


def _path() -> dict[str, str]:
    """Return the environment in which ansible-lint finds the Ansible beside it."""
    beside = Path(program("ansible-lint")).parent
    return {"PATH": f"{beside}:{os.environ['PATH']}", "HOME": os.environ.get("HOME", "/")}
