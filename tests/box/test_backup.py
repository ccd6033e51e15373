"""Backups: the one of each night, and one that is kept for the rebuilt box."""

from __future__ import annotations


def test_backup_when_its_time_comes_then_there_is_one_for_its_owner_only(box):
    box.machine.run("systemctl start appliance-backup.service")
    found = box.machine.run("stat -c '%U %a %n' /var/backups/netflow-appliance/*").splitlines()
    assert len(found) == 1
    assert found[0].startswith("netflow 600 /var/backups/netflow-appliance/netflow-appliance-")
    timer = box.machine.run("systemctl is-enabled appliance-backup.timer")
    assert timer.strip() == "enabled"


def test_restore_when_services_run_then_refused_with_a_sentence(box, kept_backup):
    done = box.machine.attempt(f"appliance restore {kept_backup.on_box}")
    assert done.returncode == 1
    assert "a collector runs already, process" in done.stderr
    box.machine.run("systemctl stop appliance-collector.service")
    try:
        done = box.machine.attempt(f"appliance restore {kept_backup.on_box}")
        assert done.returncode == 1
        assert "an API runs, process" in done.stderr
    finally:
        box.machine.run("systemctl start appliance-collector.service")
