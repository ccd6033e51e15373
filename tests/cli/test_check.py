from __future__ import annotations

import json
import re
import socket
import types

import pytest

from appliance import environment
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.contracts import FAIL, HINT, OK
from appliance.environment import check_environment
from appliance.flowlog.expiry_clock import ExpiryClock
from appliance.plugin_manager import BUILT_IN_PLUGINS
from appliance.settings.file import read_settings_file
from appliance.settings.types import ListenAddress
from tests.collector.tcp.listening import Authority

BUILT_INS = ", ".join(name.rpartition(".")[2] for name in BUILT_IN_PLUGINS)
NO_PLUGINS = f"plugins: {{disabled: [{BUILT_INS}]}}\n"
ANY_PORT = "collector.listen: 127.0.0.1:0\nweb.listen: 127.0.0.1:0\n"


@pytest.fixture
def found(conf):
    """Examine this machine under a configuration; return the findings about one thing."""

    def about(what: str, text: str = ""):
        settings = read_settings_file(conf(ANY_PORT + text)).settings()
        return [finding for finding in check_environment(settings) if finding.what.startswith(what)]

    return about


@pytest.fixture
def busy_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def check(capsys, folder, *options: str) -> tuple[int, str]:
    (folder / "api_server.yml").write_text("listen: {address: 127.0.0.1, port: 0}\n")
    code = run_command_line(group, ["check", "-confPath", f"{folder}/", *options])
    return code, capsys.readouterr().out


def test_check_when_all_is_well_then_ok_lines_and_how_many(conf, capsys):
    code, printed = check(capsys, conf(NO_PLUGINS + ANY_PORT))
    *lines, last = printed.splitlines()
    assert code == 0
    assert {line.split()[0] for line in lines} <= {OK, HINT}
    assert re.fullmatch(rf"{len(lines)} checks, (all ok|\d+ with a hint)", last)
    assert "search.memory" not in printed


def test_check_when_settings_are_wanted_then_after_the_checks_with_origin_and_whole_value(
    conf, capsys
):
    text = NO_PLUGINS + ANY_PORT + "search: {threads: 3}\n"
    code, printed = check(capsys, conf(text), "--settings")
    file = str(conf(text) / "appliance.yml")
    assert code == 0
    checks, settings = printed.split("\n\n")
    assert checks.startswith("ok    python")
    lines = [line.split(maxsplit=2) for line in settings.splitlines()]
    assert lines[0] == ["setting", "from", "value"]
    assert ["search.memory", "default", "512MB"] in lines
    assert ["search.threads", file, "3"] in lines
    assert any(line[0] == "local_networks" and line[2].endswith('"fe80::/10"]') for line in lines)


def test_check_when_something_fails_then_counted_and_lines_stay_whole_in_a_pipe(
    conf, capsys, busy_port
):
    listen = f"collector.listen: 127.0.0.1:{busy_port}\nweb.listen: 127.0.0.1:0\n"
    code, printed = check(capsys, conf(NO_PLUGINS + listen))
    assert code == 1
    (line,) = [line for line in printed.splitlines() if line.startswith("fail")]
    assert line.endswith("stop it or change collector.listen")
    assert re.search(r"^\d+ checks, 1 failed", printed.splitlines()[-1])


def test_check_when_json_then_the_same_as_data(conf, capsys):
    folder = conf(NO_PLUGINS + ANY_PORT)
    code, printed = check(capsys, folder, "--json")
    report = json.loads(printed)
    assert code == 0
    listen = {"name": "collector.listen", "value": '"127.0.0.1:0"'}
    assert listen | {"origin": str(folder / "appliance.yml")} in report["settings"]
    assert {"python", "pyarrow", "duckdb", "disk"} <= {f["what"] for f in report["environment"]}


def test_check_when_sample_then_a_configuration_file(conf, capsys):
    code, printed = check(capsys, conf(""), "--sample")
    assert code == 0
    assert check(capsys, conf(printed), "--sample") == (0, printed)


def test_check_when_port_is_busy_then_exit_1_and_what_to_do(conf, capsys, busy_port):
    folder = conf(NO_PLUGINS + f"collector.listen: 127.0.0.1:{busy_port}\n")
    code, printed = check(capsys, folder, "--json")
    assert code == 1
    (finding,) = [f for f in json.loads(printed)["environment"] if f["what"].startswith("port")]
    assert finding["status"] == FAIL
    assert finding["text"].startswith(f"busy: port {busy_port} is used by ")
    assert finding["text"].endswith("stop it or change collector.listen")


def test_port_when_our_collector_has_it_then_ok(busy_port, monkeypatch):
    monkeypatch.setattr(environment, "_user_of", lambda port, kind: ("appliance (process 1)", True))
    busy = environment._check_port(ListenAddress("127.0.0.1", busy_port))
    assert (busy.status, busy.text) == (
        OK,
        f"127.0.0.1:{busy_port} is used by the running collector, appliance (process 1)",
    )


def test_port_when_address_is_foreign_then_says_so():
    finding = environment._check_port(ListenAddress("192.0.2.77", 2055))
    assert finding.status == FAIL
    assert "192.0.2.77 is not an address of this machine" in finding.text


def test_port_when_not_allowed_then_says_so(monkeypatch):
    def refuse(address, kind):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(environment, "bound_socket", refuse)
    finding = environment._check_port(ListenAddress("0.0.0.0", 162))
    assert finding.status == FAIL
    assert "not allowed to listen on port 162" in finding.text


def test_port_when_all_addresses_are_asked_then_ipv4_is_taken_too(busy_port, monkeypatch):
    assert environment._check_port(ListenAddress("::", busy_port)).status == FAIL
    monkeypatch.setattr(environment, "has_ipv6", lambda: False)
    assert environment._check_port(ListenAddress("::", busy_port)).status == FAIL


def test_data_directory_when_missing_then_it_will_be_made(found, tmp_path):
    (finding,) = found("data", "data_directory: ../some/where\n")
    assert finding.status == OK
    assert finding.text == f"{tmp_path}/some/where is writable (will be made)"
    assert not (tmp_path / "some").exists()


def test_data_directory_when_a_file_or_read_only_then_fail(found, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    (finding,) = found("data", "data_directory: ../file/x\n")
    assert (finding.status, "is a file" in finding.text) == (FAIL, True)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    (finding,) = found("data")
    assert finding.status == FAIL
    assert "cannot be written: make" in finding.text


def test_data_directory_when_a_file_in_it_is_anothers_then_fail_with_what_to_do(
    found, monkeypatch, tmp_path
):
    log = tmp_path / "data" / "flowlog"
    log.mkdir(parents=True)
    (log / "writer.lock").touch()
    assert found("data", f"data_directory: {tmp_path}/data\n")[0].status == OK
    monkeypatch.setattr("os.access", lambda path, mode: path.name != "writer.lock")
    (finding,) = found("data", f"data_directory: {tmp_path}/data\n")
    assert finding.status == FAIL
    assert f"{log}/writer.lock cannot be read and written" in finding.text
    assert f"chown -R USER {tmp_path}/data" in finding.text


def test_disk_when_nearly_full_then_hint_or_fail(found, monkeypatch):
    def disk_of(free: int):
        usage = types.SimpleNamespace(free=free)
        monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
        return found("disk")[0]

    assert disk_of(30 * 10**9).status == OK
    assert disk_of(10**9).status == HINT
    full = disk_of(10**8)
    assert full.status == FAIL
    assert full.text.startswith("100.0 MB free, less than 256.0 MB")


def test_clock_when_a_leap_holds_up_expiry_then_said_with_how_to_confirm_it(found, tmp_path):
    text = f"data_directory: {tmp_path}/data\n"
    assert not found("clock leap", text)
    log = tmp_path / "data" / "flowlog"
    log.mkdir(parents=True)
    assert not ExpiryClock(log).is_believed(90 * 86_400_000, 1)
    (finding,) = found("clock leap", text)
    assert finding.status == HINT
    assert "is 90.0 days ahead of the flow log" in finding.text
    assert finding.text.endswith(f"rm {log}/clock-leap.json")


def test_clock_when_before_the_program_was_made_then_fail(found, monkeypatch):
    assert found("clock")[0].status == OK
    monkeypatch.setattr("time.time", lambda: 0.0)
    (finding,) = found("clock")
    assert finding.status == FAIL
    assert finding.text.startswith("1970-01-01 00:00:00 UTC is before")


def test_receive_buffer_when_less_is_granted_then_says_how_to_raise_it(found, monkeypatch):
    monkeypatch.setattr(environment, "granted_receive_buffer", lambda wanted: 212_992)
    (finding,) = found("receive")
    assert finding.status == HINT
    assert "213.0 kB of 64.0 MB" in finding.text
    assert "sysctl -w net.core.rmem_max=64000000" in finding.text


def test_granted_receive_buffer_when_small_then_granted():
    assert environment.granted_receive_buffer(65536) >= 65536


def test_ipv6_when_off_then_hint_only_if_it_is_asked_for(found, monkeypatch):
    monkeypatch.setattr(environment, "has_ipv6", lambda: False)
    assert found("ipv6")[0].status == OK
    asked = environment._check_ipv6((ListenAddress("::", 2055),))
    assert asked.status == HINT


def test_library_when_missing_then_fail():
    finding = environment._check_library("no_such_library", "does nothing")
    assert finding.status == FAIL
    assert "cannot be imported" in finding.text


@pytest.mark.parametrize(
    ("reason", "status", "text"),
    [
        ("", OK, "in C"),
        ("not built", HINT, "in numpy, not C: not built; all works, but takes more processor time"),
    ],
)
def test_kernels_when_left_out_then_hint(found, monkeypatch, reason, status, text):
    monkeypatch.setattr(environment, "why_unavailable", lambda: reason)
    (finding,) = found("kernels")
    assert (finding.status, finding.text) == (status, text)


def test_python_when_old_then_fail(found, monkeypatch):
    assert found("python")[0].status == OK
    monkeypatch.setattr("sys.version_info", (3, 10, 2))
    assert environment._check_python().text == "3.10.2 is too old: install 3.11 or newer"


@pytest.mark.parametrize("form", [("--settings",), ("--json",)])
def test_check_when_a_setting_holds_a_password_then_never_shown(capsys, conf, form):
    url = "mysql://me:p@ss:word@127.0.0.1:9/x"
    folder = conf(f'{ANY_PORT}database: "{url}"\nflows.database: "{url}"\n')
    _, printed = check(capsys, folder, *form)
    assert "mysql://me:***@127" in printed
    assert "p@ss" not in printed
    assert "word@" not in printed


def test_setting_when_a_password_is_in_an_unfit_value_then_the_error_hides_it(capsys, conf):
    folder = conf('database: "mysql://me:p@ss@host"\n')
    assert run_command_line(group, ["check", "-confPath", f"{folder}/"]) == 2
    error = capsys.readouterr().err
    assert 'found "mysql://me:***@host"' in error
    assert "p@ss" not in error


def test_check_when_the_interface_is_not_here_then_one_line_says_so(conf, capsys):
    text = ANY_PORT + "host: {interface: nosuch0}\n"
    _, printed = check(capsys, conf(text))
    (line,) = [line for line in printed.splitlines() if "nosuch0" in line]
    assert re.fullmatch(
        r"hint  interface +no interface nosuch0: change host.interface, here are .*\blo\b.*", line
    )


def test_check_when_no_interface_is_named_then_no_line_of_one(conf, capsys):
    _, printed = check(capsys, conf(ANY_PORT))
    assert re.search(r"^ok    python ", printed, re.MULTILINE)
    assert not re.search(r"^\w+ +interface ", printed, re.MULTILINE)


def test_connections_when_asked_for_then_their_ports_are_looked_at(found):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (busy,) = found("tcp port", f'collector.listen_tcp: ["127.0.0.1:{port}"]\n')
    assert busy.status == FAIL
    assert f"port {port} is used by" in busy.text
    (free,) = found("tcp port", 'collector.listen_tcp: ["127.0.0.1:0"]\n')
    assert free.status == OK


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ("", "collector.tls_certificate: collector.listen_tls needs a file (PEM)"),
        (
            "collector.tls_certificate: /nowhere.pem\ncollector.tls_key: /nowhere.key\n",
            "no such file or directory",
        ),
    ],
)
def test_connections_when_tls_lacks_its_files_then_fail_in_one_sentence(
    found, files: str, text: str
):
    (finding,) = found("exporters' tls", f'collector.listen_tls: ["127.0.0.1:0"]\n{files}')
    assert finding.status == FAIL
    assert text in finding.text


def test_connections_when_tls_has_its_files_then_ok_and_whether_exporters_show_theirs(
    found, tmp_path
):
    authority = Authority(tmp_path)
    certificate, key = authority.pair("collector")
    text = (
        'collector.listen_tls: ["127.0.0.1:0"]\n'
        f"collector.tls_certificate: {certificate}\ncollector.tls_key: {key}\n"
    )
    (finding,) = found("exporters' tls", text)
    assert (finding.status, finding.text) == (OK, f"{certificate}; exporters need none")
    (finding,) = found(
        "exporters' tls", f"{text}collector.tls_client_ca: {authority.certificate}\n"
    )
    assert finding.text.endswith("exporters show one")


def test_connections_when_another_program_receives_then_a_hint_that_it_takes_none(found):
    (finding,) = found(
        "connections", 'collector.engine: nfacctd\ncollector.listen_tcp: ["127.0.0.1:0"]\n'
    )
    assert finding.status == HINT
    assert finding.text.startswith("nfacctd receives, and takes none")
