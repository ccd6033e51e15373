"""The privileged helper against hostile callers, through a real socket."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.privileged.client import HelperRefused, ask_helper
from appliance.privileged.helper import Helper, main
from appliance.privileged.programs import ProgramFailed, Programs
from appliance.privileged.protocol import ACTS, MAX_OCTETS
from tests.privileged.interfaces_files import STATIC_VALUES, needs_ifupdown
from tests.privileged.scripted import INTERFACES, ScriptedRoot

ROOT = Path(__file__).parents[2]
ME = os.geteuid()


class NoPrograms(Programs):
    """Fails the test when anything is run."""

    def _run(self, seconds: float, program: str, *arguments: str) -> str:
        raise AssertionError((program, arguments))


@pytest.fixture(scope="module")
def empty_root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def scripted(tmp_path: Path) -> ScriptedRoot:
    return ScriptedRoot(tmp_path)


def served(helper: Helper, octets: bytes, seconds: float = 5, *, ends: bool = True) -> bytes:
    """Send octets to a helper and return its whole answer."""
    here, there = socket.socketpair()
    with here:
        here.settimeout(20)
        serving = threading.Thread(target=helper.serve, args=(there, seconds))
        serving.start()
        # A helper that refuses at once hangs up before everything is sent.
        with contextlib.suppress(OSError):
            here.sendall(octets)
            if ends:
                here.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := here.recv(65536):
                answer += part
        serving.join(20)
        assert not serving.is_alive()
    return answer


def refused(answer: bytes) -> tuple[int, str]:
    assert answer.endswith(b"\n")
    found = json.loads(answer)
    assert found["ok"] is False
    return found["status"], found["error"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
NEARLY_REQUESTS = st.dictionaries(
    st.sampled_from(["act", "interface", "state", "unit", "path", "rollback_seconds"]),
    st.sampled_from([*ACTS, "", "static", "eth0", "180", "shell"]) | JSON,
)


@given(st.binary(max_size=200))
@example(b"")
@example(b"[" * 4000)
@example(b'{"act":' * 500)
@example(b'{"act": "reboot", "act": "network_status"}')
@example(b'{"act": ["reboot"]}')
@example(b'{"act": {"reboot": 1}}')
@example(b'\xff\xfe{\x00"\x00')
@example(b'{"act": "reboot", "now": "yes"}')
@example(b'{"act": "collector_start", "unit": "ssh.service"}')
@example(b'{"act": "' + b"9" * 4000)
@example(b'{"act": ' + b"9" * 4080)
@settings(max_examples=300, deadline=None)
def test_request_when_any_octets_then_refused_and_nothing_is_run(empty_root: Path, octets: bytes):
    status, error = refused(served(Helper({ME}, empty_root, NoPrograms(empty_root)), octets))
    assert status == 400
    assert "\n" not in error


@given(
    NEARLY_REQUESTS.filter(lambda found: str(found.get("act")) not in ACTS or len(found) > 1) | JSON
)
@settings(max_examples=300, deadline=None)
def test_request_when_any_json_then_refused_and_nothing_is_run(empty_root: Path, found: object):
    octets = json.dumps(found).encode() + b"\n"
    assert refused(served(Helper({ME}, empty_root, NoPrograms(empty_root)), octets))[0] == 400


@given(
    st.dictionaries(
        st.sampled_from([*STATIC_VALUES, "interface", "rollback_seconds"]),
        st.text(max_size=20) | st.sampled_from(["static", "dhcp", "eth0", "180", "-5", "10.0.0.1"]),
    )
)
@settings(max_examples=200, deadline=None)
def test_change_when_any_values_then_refused_and_nothing_is_run(
    empty_root: Path, values: dict[str, str]
):
    octets = json.dumps({"act": "network_change", **values}).encode() + b"\n"
    status, error = refused(served(Helper({ME}, empty_root, NoPrograms(empty_root)), octets))
    assert status in (400, 409)
    assert "\n" not in error


def test_request_when_endless_then_refused_at_the_limit(empty_root: Path):
    helper = Helper({ME}, empty_root, NoPrograms(empty_root))
    answer = served(helper, b" " * (MAX_OCTETS + 1), ends=False)
    assert refused(answer) == (400, f"the request is longer than {MAX_OCTETS} octets")


@pytest.mark.parametrize("octets", [b"", b'{"act": "reboot"}'])
def test_request_when_its_end_does_not_come_then_given_up(empty_root: Path, octets: bytes):
    helper = Helper({ME}, empty_root, NoPrograms(empty_root))
    answer = served(helper, octets, 0.2, ends=False)
    assert refused(answer) == (400, "the request did not come within 0.2 seconds")


def test_request_when_it_drips_then_given_up_all_the_same(empty_root: Path):
    helper = Helper({ME}, empty_root, NoPrograms(empty_root))
    here, there = socket.socketpair()
    started = time.monotonic()
    serving = threading.Thread(target=helper.serve, args=(there, 0.5))
    with here:
        serving.start()
        try:
            while time.monotonic() < started + 10:
                here.sendall(b" ")
                serving.join(0.05)
        except BrokenPipeError:
            pass
        serving.join(10)
    assert time.monotonic() - started < 8


@pytest.mark.skipif(ME != 0, reason="NOT TESTED with another user: needs root")
def test_request_when_from_another_user_then_refused_unread(tmp_path: Path):
    program = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        'print(s.recv(999).decode()); s.sendall(b\'{"act": "reboot"}\\n\')'
    )
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        os.chmod(folder, 0o755)
        path = f"{folder}/socket"
        listening.bind(path)
        os.chmod(path, 0o777)
        listening.listen()
        stranger = subprocess.Popen(
            ["/usr/bin/python3", "-c", program, path], user=65534, stdout=subprocess.PIPE, cwd="/"
        )
        connection, _ = listening.accept()
        Helper({0}, tmp_path, NoPrograms(tmp_path)).serve(connection)
        said = stranger.communicate(timeout=20)[0]
    assert refused(said.strip() + b"\n") == (403, "you may not ask this helper")


@pytest.mark.parametrize(
    ("act", "call"),
    [
        ("collector_start", "systemctl start appliance-collector.service"),
        ("collector_stop", "systemctl stop appliance-collector.service"),
        ("collector_forget", "systemctl reset-failed appliance-collector.service"),
        ("reboot", "systemd-run {timer} {root}/bin/systemctl reboot"),
        ("power_off", "systemd-run {timer} {root}/bin/systemctl poweroff"),
    ],
)
def test_act_when_asked_then_exactly_one_program(scripted: ScriptedRoot, act: str, call: str):
    helper = Helper({ME}, scripted.root, kernel=scripted.kernel)
    answer = served(helper, json.dumps({"act": act}).encode() + b"\n")
    assert json.loads(answer) == {"ok": True}
    timer = "--quiet --collect --on-active=1s --timer-property=AccuracySec=100ms"
    assert scripted.calls == [call.format(timer=timer, root=scripted.root)]


def test_program_when_run_then_its_environment_is_clean(
    scripted: ScriptedRoot, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("IFUPDOWN_X", "y")
    Programs(scripted.root).ifup("eth0")
    names = {line.partition("=")[0] for line in scripted.read("environment").splitlines()}
    assert names <= {"PATH", "LANG", "PWD", "_", "SHLVL", "OLDPWD"}


def test_program_when_its_child_stays_then_nobody_waits_for_that(scripted: ScriptedRoot):
    scripted.script("sbin/ifup", f"sleep 30 & echo $! > {scripted.root}/child")
    started = time.monotonic()
    Programs(scripted.root).ifup("eth0")
    assert time.monotonic() - started < 10
    os.kill(int(scripted.read("child")), 9)


def test_program_when_it_takes_too_long_then_ended_with_its_children(
    scripted: ScriptedRoot, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("appliance.privileged.programs.IFUP_SECONDS", 0.5)
    scripted.script("sbin/ifup", f"sleep 30 & echo $! > {scripted.root}/child; wait")
    with pytest.raises(ProgramFailed, match="ifup took longer than 0 seconds"):
        Programs(scripted.root).ifup("eth0")
    gone = Path(f"/proc/{scripted.read('child').strip()}")
    deadline = time.monotonic() + 5
    while gone.exists() and "Z" not in (gone / "stat").read_text().rpartition(")")[2][:3]:
        assert time.monotonic() < deadline


def test_act_when_the_program_fails_then_its_last_word_is_the_error(scripted: ScriptedRoot):
    scripted.script("usr/bin/systemd-run", "echo hello; echo no bus >&2; exit 1")
    helper = Helper({ME}, scripted.root, kernel=scripted.kernel)
    assert refused(served(helper, b'{"act": "reboot"}\n')) == (500, "systemd-run: no bus")


@needs_ifupdown
def test_change_when_announced_then_the_caller_need_not_stay(scripted: ScriptedRoot):
    helper = Helper({ME}, scripted.root, kernel=scripted.kernel)
    request = {
        "act": "network_change",
        "interface": "eth0",
        "rollback_seconds": "30",
        **STATIC_VALUES,
    }
    answer = json.loads(served(helper, json.dumps(request).encode() + b"\n"))
    assert answer["change"]["state"] == "armed"
    assert scripted.calls[-1] == "ifup eth0"
    state = json.loads(served(helper, b'{"act": "network_status"}\n'))["change"]
    assert (state["state"], state["inProgress"]) == ("rolled back", False)
    assert scripted.read("etc/network/interfaces") == INTERFACES


@pytest.mark.parametrize("arguments", [["x"], ["rollback", "now"], ["--root", "/tmp"]])
def test_command_when_arguments_are_unknown_then_exit_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir("/")
    assert main(arguments) == 2
    assert "expected no argument, or rollback" in capsys.readouterr().err


def test_command_when_started_by_hand_then_exit_2():
    command = [sys.executable, "-m", "appliance.privileged.helper"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "standard input is no socket; systemd starts this program\n"


def test_helper_when_imported_then_only_the_standard_library_and_its_neighbours():
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); before = set(sys.modules);"
        "import appliance.privileged.helper;"
        "print('\\n'.join(n for n in set(sys.modules) - before"
        " if n.partition('.')[0] not in sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    found = set(done.stdout.split())
    assert "appliance.privileged.protocol" in found
    assert {n for n in found if not n.startswith("appliance.privileged")} == {"appliance"}
    assert "appliance.privileged.client" not in found


@pytest.mark.parametrize("answer", [b"", b"{", b"[]\n", b'{"ok": 1}\n', b'{"ok": false}\n'])
def test_client_when_the_helper_talks_nonsense_then_refused(tmp_path: Path, answer: bytes):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            with listening.accept()[0] as connection:
                connection.recv(999)
                connection.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        with pytest.raises(HelperRefused) as raised:
            ask_helper({"act": "reboot"}, path)
        serving.join()
    assert raised.value.status == 500


def test_client_when_nobody_listens_then_refused(tmp_path: Path):
    with pytest.raises(HelperRefused, match="the helper does not answer"):
        ask_helper({"act": "reboot"}, tmp_path / "nothing")
