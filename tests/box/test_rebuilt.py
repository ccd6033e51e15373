"""A box that is lost: another one, made of nothing, goes on with its backup."""

from __future__ import annotations

from tests.box.deployment import PASSWORD_FILE

SERVICES = "appliance-api.service appliance-collector.service"


def test_box_when_rebuilt_then_a_backup_brings_accounts_and_sums_back(rebuilt, kept_backup):
    rebuilt.converge()
    machine = rebuilt.machine
    assert rebuilt.ask("/api/v1/netflow/getIngressTopTalkers", rebuilt.sign_in()) == []
    machine.put(kept_backup.file, "/var/tmp/backup.tar.zst")
    machine.run(f"systemctl stop {SERVICES}")
    machine.run("appliance restore /var/tmp/backup.tar.zst")
    machine.run(f"systemctl start {SERVICES}")
    assert machine.run(f"cat {PASSWORD_FILE}").strip() != kept_backup.password
    token = rebuilt.sign_in(password=kept_backup.password)
    assert rebuilt.ask("/api/v1/netflow/getIngressTopTalkers", token) == kept_backup.talkers
    found = machine.run("stat -c '%U %a' /var/lib/netflow-appliance/secret")
    assert found.split() == ["netflow", "600"]
    assert rebuilt.ask("/api/v1/health", token)["success"]


def test_box_when_uninstalled_then_nothing_is_left_and_sqlite_can_follow(rebuilt):
    """The second life of the same system is one without a database server."""
    gone = rebuilt.play(book="uninstall.yml", uninstall_data=True)
    assert not gone.failed, gone.text
    machine = rebuilt.machine
    left = machine.run("ls -d /opt/netflow* /etc/netflow* /var/lib/netflow* /run/netflow* || true")
    assert left == ""
    assert machine.attempt("id netflow").returncode
    assert "netflow" not in machine.run("mariadb -N -e 'SHOW DATABASES'; systemctl list-units")
    machine.run("systemctl disable --now mariadb.service")
    rebuilt.converge(database_engine="sqlite")
    token = rebuilt.sign_in()
    assert rebuilt.ask("/api/v1/health", token)["success"]
    files = machine.run("stat -c '%U %a %n' /var/lib/netflow-appliance/*.sqlite").splitlines()
    assert len(files) == 2
    assert all(line.startswith("netflow 6") for line in files)
