"""`appliance serve` as a process: answers, stops, refuses; against the real store."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.app import open_app
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.web.lock import exclusive_api_lock
from tests.web.serving import SECONDS, make_certificate

ROOT = Path(__file__).parents[2]
LOOPBACK = "listen: {address: 127.0.0.1, port: 0}\n"


@pytest.fixture
def folder(conf):
    def write(appliance: str = "", api: str = "needAuth: false\n") -> Path:
        made = conf(f"web.listen: 127.0.0.1:0\n{appliance}")
        (made / "api_server.yml").write_text(LOOPBACK + api)
        return made

    return write


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "appliance", "-confPath", f"{folder}/", *arguments]


@contextmanager
def started(folder: Path, *arguments: str):
    """Start `serve`; yields the process and the URLs that it logs."""
    process = subprocess.Popen(
        command(folder, "serve", *arguments), stderr=subprocess.PIPE, cwd=ROOT, text=True
    )
    try:
        yield process, [next_url(process), next_url(process)]
    finally:
        process.kill()
        process.communicate()


def next_url(process) -> str:
    for line in process.stderr:
        if found := re.search(r"the API answers at (\S+)", line):
            return found[1]
    raise AssertionError("ended before it answered")


def fetch(url: str, token: str = "", **more):
    request = urllib.request.Request(url)
    if token:
        request.add_header("x-apiauth", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS, **more) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_serve_when_started_then_both_listeners_answer_both_apis(folder):
    made = folder()
    with started(made) as (process, (first, second)):
        printed = subprocess.run(
            command(made, "token", "create"), capture_output=True, text=True, check=True, cwd=ROOT
        )
        token = printed.stdout.strip()
        for url in (first, second):
            assert fetch(f"{url}v1/api/")[1]["status"] == "ok"
            assert fetch(f"{url}api/v1/netflow/getTopApps", token) == (200, [])
            assert fetch(f"{url}v1/api/device/get/all", token) == (200, [])
            assert fetch(f"{url}api/v1/netflow/getTopApps")[0] == 401
            assert fetch(f"{url}api/v1/health")[1]["message"] == "The collector is not running"
        assert fetch(f"{first}v1/api/device/get/all")[0] == 401
        assert fetch(f"{second}v1/api/device/get/all") == (200, [])
        process.terminate()
        out, error = process.communicate(timeout=SECONDS)
        assert (process.returncode, out) == (0, None)
        assert "Traceback" not in error


def test_serve_when_tls_is_configured_then_https(folder, tmp_path):
    from tests.web.serving import client_context

    files = make_certificate(tmp_path)
    tls = f"tls: {{enabled: true, cert: {files.certificate}, key: {files.key}}}\n"
    with started(folder("", tls)) as (process, (first, second)):
        assert (first[:5], second[:6]) == ("http:", "https:")
        assert fetch(f"{second}v1/api/", context=client_context(files))[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0


def test_serve_when_a_port_is_busy_then_one_sentence_and_exit_2(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        made = folder()
        port = taken.getsockname()[1]
        (made / "api_server.yml").write_text(f"listen: {{address: 127.0.0.1, port: {port}}}\n")
        ran = subprocess.run(
            command(made, "serve"), capture_output=True, text=True, check=False, cwd=ROOT
        )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == (
        f"appliance: cannot listen on 127.0.0.1:{port}: the port is used by another program,"
        " stop it or change listen.port of api_server.yml\n"
    )


def test_serve_when_the_api_of_a_killed_run_still_ends_then_waits_for_its_port(folder):
    taken = socket.create_server(("127.0.0.1", 0))
    made = folder()
    port = taken.getsockname()[1]
    (made / "api_server.yml").write_text(f"listen: {{address: 127.0.0.1, port: {port}}}\n")
    arguments = command(made, "serve", "--until-parent-ends")
    with taken:
        ran = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=ROOT)
        assert ran.returncode == 2
        assert "is used by another program" in ran.stderr
        threading.Timer(2.5, taken.close).start()
        with started(made, "--until-parent-ends") as (process, urls):
            assert f"http://127.0.0.1:{port}/" in urls
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS) == 0


def test_restore_when_an_api_runs_then_refused_until_it_is_gone(folder, tmp_path):
    made = folder()
    file = tmp_path / "backup.tar.zst"

    def run(*arguments: str) -> tuple[int, str]:
        ran = subprocess.run(
            command(made, *arguments), capture_output=True, text=True, check=False, cwd=ROOT
        )
        return ran.returncode, ran.stderr

    assert run("backup", str(file)) == (0, "")
    with started(made) as (process, _):
        said = f"appliance: {file}: an API runs, process {process.pid}: stop it before\n"
        assert run("restore", str(file)) == (1, said)
        process.kill()
        process.wait(SECONDS)
    assert run("restore", str(file)) == (0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_api_lock_when_root_makes_it_then_it_belongs_to_the_owner_of_the_folder(folder, tmp_path):
    settings = open_app(folder(f"data_directory: {tmp_path}/data\n")).settings
    (tmp_path / "data").mkdir()
    os.chown(tmp_path / "data", 12345, 12346)
    with exclusive_api_lock(settings):
        made = (tmp_path / "data" / "api.lock").stat()
    assert (made.st_uid, made.st_gid) == (12345, 12346)


def test_serve_when_a_backup_is_put_back_then_refused(folder, tmp_path):
    made = folder()
    with exclusive_api_lock(open_app(made).settings):
        ran = subprocess.run(
            command(made, "serve"), capture_output=True, text=True, check=False, cwd=ROOT
        )
    assert ran.returncode == 2
    assert ran.stderr == f"appliance: appliance restore runs, process {os.getpid()}\n"


@pytest.mark.parametrize(
    ("api", "sentence"),
    [
        ("needAuth: maybe\n", "api_server.yml: needAuth: expected true or false, found maybe\n"),
        ("tls: {enabled: true}\n", "tls.cert: is needed where tls.enabled is true\n"),
        ("accessLogFile: none/a.log\n", "conf/none/a.log cannot be written: no such file or dir"),
        ("errorLogFile: none/e.log\n", "conf/none/e.log cannot be written: no such file or dir"),
    ],
)
def test_serve_when_the_configuration_is_wrong_then_one_sentence_and_exit_2(
    folder, capsys, monkeypatch, api, sentence
):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    arguments = ["-confPath", f"{folder('', api)}/", "serve"]
    assert run_command_line(group, arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_serve_when_logs_are_configured_then_written(folder, tmp_path):
    api = "accessLogFile: ../access.log\nerrorLogFile: ../error.log\nneedAuht: 1\n"
    with started(folder("", api)) as (process, (first, second)):
        fetch(f"{second}v1/api/")
        fetch(f"{first}v1/api/")
        process.terminate()
        assert process.wait(SECONDS) == 0
    assert (tmp_path / "access.log").read_text().count('"GET /v1/api/ HTTP/1.1" 200') == 1
    assert "needAuht: unknown key, did you mean needAuth?" in (tmp_path / "error.log").read_text()


def test_serve_when_its_parent_is_gone_then_it_ends(folder):
    made = folder()
    arguments = command(made, "serve", "--until-parent-ends")
    code = (
        "import subprocess, sys; child = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE);"
        "print(child.pid, flush=True); child.stderr.readline(); child.stderr.readline()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=60,
    )
    child = int(ran.stdout.split()[0])
    end = time.monotonic() + SECONDS
    while True:
        try:
            os.kill(child, 0)
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            break
        if state == "Z":
            break
        assert time.monotonic() < end, "still there"
        time.sleep(0.02)
