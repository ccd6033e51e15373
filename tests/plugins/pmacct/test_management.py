"""Collector management over HTTP, with a real collector and, where it matters, a real MariaDB."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import appliance
from appliance.app import open_app
from appliance.plugins.pmacct.configuration.config import read_config
from appliance.plugins.pmacct.configuration.overrides import database_url
from appliance.plugins.pmacct.configuration.reading import read_effective
from appliance.plugins.pmacct.management import PARAMETERS
from appliance.processes.supervision import NotRunning, supervisor_of
from appliance.web.application import build_web
from appliance.web.service import services_of
from appliance.web.store_access import flow_store_access
from tests.collector.running import RunningCollector, free_port
from tests.sql.mariadb import MariaDb
from tests.web.building import Client, Reply, accounts_of, principal_from

PREFIX = "/api/v1/admin/collector"
FORM = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
GIVEN = b"""! the collector of the test
nfacctd_ip: 127.0.0.1
nfacctd_port:  %d
plugins: mysql[netflow]\t
  sql_db[netflow]: destne
sql_host[netflow]: 127.0.0.1
sql_user[netflow]: root
sql_passwd[netflow]: s3cret-of-mine
aggregate[netflow]: src_host, dst_host
# the last line has no end"""


class Control:
    """An appliance whose collector is managed over HTTP."""

    def __init__(self, folder: Path, conf: bytes | None = None) -> None:
        self.running = RunningCollector(folder)
        self.file = self.running.data / "mysql-nfacctd.conf"
        if conf is not None:
            self.file = self.running.conf / "mysql-nfacctd.conf"
            self.file.write_bytes(conf % self.running.port)
            self.file.chmod(0o600)
            yml = self.running.conf / "appliance.yml"
            yml.write_text(
                yml.read_text().replace(
                    "collector:\n", "collector:\n  config: mysql-nfacctd.conf\n"
                )
            )
        self.open()

    def open(self) -> None:
        """Build the web server of the settings as they are in the file."""
        app = open_app(self.running.conf)
        self.supervisor = supervisor_of(app.settings)
        self.stores = flow_store_access(app.web_parts())
        self.accounts = accounts_of(app.settings)
        services = services_of(app.web_parts(), self.stores, self.accounts)
        opened = replace(services, principal_from=principal_from)
        self.client = Client(build_web(app.routes, opened))

    def get(self, what: str) -> Reply:
        return self.client("GET", f"{PREFIX}/{what}", token="administrator")

    def put(self, form: str) -> Reply:
        return self.client("PUT", f"{PREFIX}/config", form.encode(), token="administrator", **FORM)

    def listen(self, *ports: int) -> None:
        """Let the settings name several addresses to listen on."""
        addresses = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
        yml = self.running.conf / "appliance.yml"
        lines = [
            f"  listen: [{addresses}]" if line.startswith("  listen:") else line
            for line in yml.read_text().splitlines()
        ]
        yml.write_text("\n".join(lines) + "\n")
        self.reopen()

    def use_database(self, url: str) -> None:
        """Let the settings name the database of flows."""
        yml = self.running.conf / "appliance.yml"
        yml.write_text(f'{yml.read_text()}flows:\n  database: "{url}"\n')
        self.reopen()

    def reopen(self) -> None:
        self.stores.close()
        self.accounts.close()
        self.open()

    def close(self) -> None:
        with suppress(NotRunning):
            self.supervisor.stop()
        self.stores.close()
        self.accounts.close()
        self.running.close()


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    """An appliance without a collector configuration."""
    made = Control(tmp_path)
    yield made
    made.close()


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Control]:
    """An appliance with one that names a MySQL server which is not there."""
    made = Control(tmp_path, GIVEN)
    yield made
    made.close()


def test_start_and_stop_when_called_then_the_documents_messages(control: Control) -> None:
    assert control.get("config").json["status"] == "Stopped"
    assert control.get("stop").json == {"error": "No nfacctd process running"}
    started = control.get("start")
    assert (started.status, started.json) == (200, {"message": "Collector successfully started"})
    assert control.get("config").json["status"] == "Running"
    again = control.get("start")
    assert (again.status, again.json) == (409, {"error": "Nfacctd process already running"})
    stopped = control.get("stop")
    assert (stopped.status, stopped.json) == (200, {"message": "Collector successfully stopped"})
    again = control.get("stop")
    assert (again.status, again.json) == (409, {"error": "No nfacctd process running"})


def test_config_when_there_is_no_file_then_says_where_it_listens(control: Control) -> None:
    assert control.get("config").json == {
        "collectorIP": "127.0.0.1",
        "collectorPort": control.running.port,
        "sqlDB": None,
        "sqlHost": None,
        "sqlUser": None,
        "status": "Stopped",
    }
    assert not control.file.exists()


def test_config_when_there_is_a_file_then_its_values_without_the_password(
    configured: Control,
) -> None:
    answer = configured.get("config")
    assert list(answer.json.items()) == [
        ("collectorIP", "127.0.0.1"),
        ("collectorPort", configured.running.port),
        ("sqlDB", "destne"),
        ("sqlHost", "127.0.0.1"),
        ("sqlUser", "root"),
        ("status", "Stopped"),
    ]
    assert b"s3cret" not in answer.body


def test_put_when_there_is_no_file_then_the_next_start_listens_there(control: Control) -> None:
    port = free_port()
    answer = control.put(f"collectorIP=127.0.0.1&collectorPort={port}")
    assert (answer.status, answer.json) == (200, {"message": "Collector parameters updated"})
    assert stat.S_IMODE(control.file.stat().st_mode) == 0o600
    assert control.get("config").json["collectorPort"] == port
    assert control.get("start").status == 200
    assert control.running.status()["listen"] == [f"127.0.0.1:{port}"]


def test_put_when_the_collector_runs_then_it_goes_on_as_it_is(control: Control) -> None:
    assert control.get("start").status == 200
    before = control.running.status()
    port = free_port()
    assert control.put(f"collectorPort={port}&collectorIP=127.0.0.1").status == 200
    assert control.running.status()["pid"] == before["pid"]
    assert control.running.status()["listen"] == before["listen"]
    assert control.get("stop").status == 200
    assert control.get("start").status == 200
    assert control.running.status()["listen"] == [f"127.0.0.1:{port}"]


def test_put_when_the_port_changes_then_the_other_addresses_stay(control: Control) -> None:
    first, other, port = control.running.port, free_port(), free_port()
    control.listen(first, other)
    assert control.put(f"collectorPort={port}").status == 200
    assert control.get("start").status == 200
    assert control.running.status()["listen"] == [f"127.0.0.1:{port}", f"127.0.0.1:{other}"]
    assert control.get("stop").status == 200
    assert control.put(f"collectorPort={other}").status == 200
    assert control.get("start").status == 200
    assert control.running.status()["listen"] == [f"127.0.0.1:{other}"]


@pytest.mark.parametrize("before", ["", "collectorPort"])
def test_put_when_only_a_host_and_the_database_is_a_file_then_refused_and_it_still_starts(
    control: Control, before: str
) -> None:
    if before:
        assert control.put(f"collectorPort={control.running.port}").status == 200
    answer = control.put("sqlHost=127.0.0.1")
    assert answer.status == 400
    text = "Required, as no MySQL database is in use so far"
    assert answer.json == {
        "error": [{"sqlDB": text}, {"sqlUser": text}, {"sqlPassword": text}],
    }
    assert control.file.exists() == bool(before)
    assert control.get("start").status == 200
    assert control.get("config").json["sqlHost"] is None


@pytest.mark.parametrize("before", ["", "collectorPort"])
def test_put_when_a_whole_database_then_the_next_start_fills_it(
    control: Control, before: str
) -> None:
    if before:
        assert control.put(f"collectorPort={control.running.port}").status == 200
    form = "sqlDB=destne2&sqlHost=127.0.0.1&sqlUser=root&sqlPassword=password"
    assert control.put(form).status == 200
    found = read_effective(control.file)
    assert [plugin.type for plugin in found.sql_plugins] == ["mysql"]
    assert found.number("nfacctd_port") == control.running.port
    assert not found.errors
    answer = control.get("config").json
    assert (answer["sqlDB"], answer["sqlHost"], answer["sqlUser"]) == (
        "destne2",
        "127.0.0.1",
        "root",
    )
    assert control.put("sqlHost=127.0.0.2").status == 200
    assert control.get("config").json["sqlHost"] == "127.0.0.2"


def test_put_when_the_database_in_use_is_mysql_then_only_what_is_named_changes(
    control: Control,
) -> None:
    control.use_database("mysql://flow:s%40cret@db.example.net:3307/flows")
    assert control.get("config").json["sqlHost"] == "db.example.net"
    assert control.put("sqlHost=127.0.0.1").status == 200
    found = read_effective(control.file)
    (plugin,) = found.sql_plugins
    assert database_url(found, plugin) == "mysql://flow:s%40cret@127.0.0.1:3307/flows"


@pytest.mark.parametrize(
    ("plugins", "form", "text"),
    [
        (
            "sqlite3[p]",
            "sqlHost=db",
            "The configuration's database is a SQLite file, which has none",
        ),
        (
            "print",
            "sqlHost=db&sqlDB=x",
            "The configuration fills no database: name one in its plugins first",
        ),
    ],
)
def test_put_when_the_file_has_no_mysql_then_refused_with_a_sentence(
    configured: Control, plugins: str, form: str, text: str
) -> None:
    configured.file.write_text(f"plugins: {plugins}\naggregate: src_host\n")
    before = configured.file.read_bytes()
    answer = configured.put(form)
    assert answer.status == 400
    assert all(text in problem.values() for problem in answer.json["error"])
    assert configured.file.read_bytes() == before


def test_put_when_several_values_are_wrong_then_each_is_named_and_nothing_is_written(
    configured: Control,
) -> None:
    before = configured.file.read_bytes()
    answer = configured.put(
        "collectorIP=10.0.2.256&collectorPort=70000&sqlHost=a_b..c&sqlDB=a%60b&sqlUser="
    )
    assert answer.status == 400
    assert answer.json == {
        "error": [
            {"collectorIP": "Invalid IP Address (IPv4)"},
            {"collectorPort": "Invalid Port (1 to 65535)"},
            {"sqlHost": "Invalid Host (IPv4 or hostname)"},
            {"sqlDB": "Invalid Database Name"},
            {"sqlUser": "Invalid Username"},
        ]
    }
    assert configured.file.read_bytes() == before


@pytest.mark.parametrize("host", ["127.0.0.1", "db.example.net", "localhost", "db-1"])
def test_put_when_the_host_is_a_name_or_an_address_then_it_is_taken(
    configured: Control, host: str
) -> None:
    assert configured.put(f"sqlHost={host}").status == 200
    assert configured.get("config").json["sqlHost"] == host


def test_put_when_all_values_are_given_then_every_other_octet_stays(configured: Control) -> None:
    before = configured.file.read_bytes()
    answer = configured.put(
        "collectorIP=10.0.2.16&collectorPort=8889&sqlDB=destne2&sqlHost=127.0.0.2"
        "&sqlUser=flow&sqlPassword=pass+word%21"
    )
    assert answer.json == {"message": "Collector parameters updated"}
    expected = before
    for old, new in (
        (b"nfacctd_ip: 127.0.0.1", b"nfacctd_ip: 10.0.2.16"),
        (b"nfacctd_port:  %d" % configured.running.port, b"nfacctd_port:  8889"),
        (b"sql_db[netflow]: destne", b"sql_db[netflow]: destne2"),
        (b"sql_host[netflow]: 127.0.0.1", b"sql_host[netflow]: 127.0.0.2"),
        (b"sql_user[netflow]: root", b"sql_user[netflow]: flow"),
        (b"sql_passwd[netflow]: s3cret-of-mine", b"sql_passwd[netflow]: pass word!"),
    ):
        assert old in expected
        expected = expected.replace(old, new)
    found = configured.file.read_bytes()
    # Lines for one plugin may be followed by the same key for all, which changes nothing.
    assert found.startswith(expected)
    assert stat.S_IMODE(configured.file.stat().st_mode) == 0o600
    assert configured.get("config").json["sqlDB"] == "destne2"


def test_put_when_nothing_or_something_unknown_is_given_then_400(configured: Control) -> None:
    assert configured.put("").status == 400
    unknown = configured.put("collectorIP=10.0.0.1&colour=red")
    assert unknown.status == 400
    assert b"colour" in unknown.body


def test_config_when_the_file_is_damaged_then_an_error_names_the_line(
    configured: Control,
) -> None:
    configured.file.write_text("plugins mysql\n")
    for answer in (configured.get("config"), configured.put("sqlDB=x"), configured.get("start")):
        assert answer.status == 500
        assert "missing ':'" in answer.json["error"]
    assert configured.file.read_text() == "plugins mysql\n"


def test_start_when_the_port_is_busy_then_says_why_and_nothing_runs(control: Control) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as busy:
        busy.bind(("127.0.0.1", control.running.port))
        answer = control.get("start")
    assert answer.status == 500
    assert f"127.0.0.1:{control.running.port}" in answer.json["error"]
    assert control.get("config").json["status"] == "Stopped"


def test_start_when_the_address_is_of_another_machine_then_says_so(control: Control) -> None:
    assert control.put("collectorIP=192.0.2.77").status == 200
    answer = control.get("start")
    assert answer.status == 500
    assert answer.json == {"error": "192.0.2.77 is not an address of this machine"}


def test_start_when_the_database_refuses_then_says_why_and_nothing_runs(
    configured: Control,
) -> None:
    assert configured.put("sqlHost=127.0.0.1").status == 200
    text = configured.file.read_text()
    configured.file.write_text(text.replace("plugins:", f"sql_port: {free_port()}\nplugins:"))
    answer = configured.get("start")
    assert answer.status == 500
    assert "refused" in answer.json["error"]
    assert "s3cret" not in answer.body.decode()
    assert configured.get("config").json["status"] == "Stopped"


def test_status_when_the_collector_was_killed_then_stopped(control: Control) -> None:
    assert control.get("start").status == 200
    pid = control.supervisor.status().pid
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while control.get("config").json["status"] != "Stopped":
        assert time.monotonic() < deadline
    assert control.get("start").status == 200


def test_status_when_a_stranger_has_the_number_then_stopped(control: Control) -> None:
    control.running.data.mkdir(exist_ok=True)
    (control.running.data / "collector.pid").write_text(f"{os.getpid()}\n")
    assert control.get("config").json["status"] == "Stopped"
    assert control.get("stop").json == {"error": "No nfacctd process running"}


def test_start_when_two_do_at_once_then_one_is_told_that_it_runs(control: Control) -> None:
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(control.get("start").status))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 409]


def test_put_when_two_write_at_once_then_both_changes_are_there(configured: Control) -> None:
    def write(name: str) -> None:
        for number in range(20):
            assert configured.put(f"{name}=v{number}").status == 200

    threads = [threading.Thread(target=write, args=(name,)) for name in ("sqlDB", "sqlUser")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = configured.get("config").json
    assert (found["sqlDB"], found["sqlUser"]) == ("v19", "v19")


PROGRAMS = ("sql_trigger_exec", "print_trigger_exec", "print_output_custom_lib")


@pytest.mark.parametrize("key", PROGRAMS)
def test_put_when_it_names_a_program_in_any_way_then_refused(configured: Control, key: str) -> None:
    before = configured.file.read_bytes()
    for name in (key, f"{key}[netflow]", f"sqlHost\n{key}", key.upper()):
        assert configured.put(urlencode({name: "/bin/evil"})).status == 400
    for name in PARAMETERS:
        for end in ("\n", "\r", "\r\n", "\x0b", "\x85", "\u2028", "\0"):
            form = urlencode({name: f"10.0.0.1{end}{key}: /bin/evil"})
            assert configured.put(form).status == 400
    assert configured.file.read_bytes() == before


def test_routes_when_listed_then_only_this_put_writes_the_configuration() -> None:
    # Whoever else writes the file has to answer for programs that it names.
    folder = Path(appliance.__file__).parent
    writers = [
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if "import change_config" in path.read_text(encoding="utf-8")
    ]
    assert writers == ["plugins/pmacct/management.py"]
    assert {parameter.key for parameter in PARAMETERS.values()}.isdisjoint(PROGRAMS)


def test_routes_when_called_by_a_user_then_refused(control: Control) -> None:
    for method, what in (("GET", "start"), ("GET", "stop"), ("GET", "config"), ("PUT", "config")):
        answer = control.client(method, f"{PREFIX}/{what}", token="user")
        assert answer.status == 403
        assert answer.json["message"] == "Administrative privileges required"
    assert not control.supervisor.status().is_running


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    values=st.dictionaries(
        st.sampled_from(sorted(PARAMETERS)), st.text(max_size=300), min_size=1, max_size=6
    )
)
def test_put_when_values_are_anything_then_taken_as_they_are_or_refused(
    configured: Control, values: dict[str, str]
) -> None:
    body = json.dumps(values).encode("utf-8", "surrogatepass")
    before = configured.file.read_bytes()
    answer = configured.client(
        "PUT",
        f"{PREFIX}/config",
        body,
        token="administrator",
        CONTENT_TYPE="application/json",
    )
    assert answer.status in (200, 400)
    if answer.status == 400:
        assert configured.file.read_bytes() == before
        return
    config = read_config(configured.file)
    for name, value in values.items():
        assert config.value(PARAMETERS[name].key, "netflow") == value


@pytest.mark.slow
def test_api_when_the_collector_starts_with_another_database_then_it_answers_from_there(
    tmp_path: Path,
) -> None:
    conf = (
        b"nfacctd_ip: 127.0.0.1\nnfacctd_port: %d\nplugins: sqlite3[lite]\n"
        b"aggregate[lite]: src_host\nsql_db[lite]: first.sqlite\n"
    )
    control = Control(tmp_path, conf)
    try:
        assert control.get("start").status == 200
        first = control.stores.store()
        assert control.put("sqlDB=second.sqlite").status == 200
        assert control.stores.store() is first
        assert control.get("stop").status == 200
        assert control.stores.store() is first
        # Also an API that starts now goes by what the collector was started with.
        other = flow_store_access(open_app(control.running.conf).web_parts()).store()
        assert other.flows.path == first.flows.path
        assert control.get("start").status == 200
        second = control.stores.store()
        assert second is not first
        assert second.exporters() == []
        assert (control.running.conf / "second.sqlite").exists()
    finally:
        control.close()


@pytest.mark.slow
def test_put_when_a_server_is_named_then_the_next_start_fills_it(
    control: Control, mariadb: MariaDb
) -> None:
    database = mariadb.new_database().rpartition("/")[2]
    answer = control.put(f"sqlDB={database}&sqlHost=127.0.0.1&sqlUser=appliance&sqlPassword=wrong")
    assert answer.status == 200
    # The published API has no parameter for the server's port.
    with control.file.open("a") as file:
        file.write(f"sql_port: {mariadb.port}\n")
    refused = control.get("start")
    assert refused.status == 500
    assert "Access denied" in refused.json["error"]
    assert "wrong" not in refused.json["error"]
    assert control.put("sqlPassword=sec%40ret").status == 200
    assert control.get("start").status == 200
    assert control.stores.store().cursor() is not None
    deadline = time.monotonic() + 20
    query = f"SHOW TABLES FROM `{database}` LIKE 'appliance_rollup'"
    while not mariadb.rows(query):
        assert time.monotonic() < deadline
        time.sleep(0.1)
