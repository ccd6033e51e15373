"""Traps, received by Debian's snmptrapd; messages by syslog, received from a socket."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path

import pytest

from appliance.app import open_app
from appliance.errors import SettingsError
from appliance.plugins.alerts import messages
from appliance.plugins.alerts.messages import Messages, apprise_sender
from appliance.plugins.alerts.trap_addresses import TrapReceiver, trap_receiver
from appliance.plugins.alerts.traps import Notice, engine_id, trap_sender
from tests.plugins.alerts.test_messages import NOON, RULE, alert

PROGRAM = shutil.which("snmptrapd", path="/usr/sbin:/usr/bin")
KEYS = "auth-secret", "privacy-secret"
_SECONDS = 20.0

needs_program = pytest.mark.skipif(PROGRAM is None, reason="needs snmptrapd (apt-get install)")


class Receiver:
    """What the daemon has written."""

    def __init__(self, port: int, log: Path) -> None:
        self.port, self._log = port, log

    def wait_for(self, text: str) -> str:
        """Return the line with a text."""
        deadline = time.monotonic() + _SECONDS
        while True:
            for line in self._log.read_text().splitlines():
                if text in line:
                    return line
            assert time.monotonic() < deadline, self._log.read_text()
            threading.Event().wait(0.02)


@pytest.fixture
def snmptrapd(tmp_path: Path) -> Iterator[Receiver]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        port = own.getsockname()[1]
    file, log = tmp_path / "snmptrapd.conf", tmp_path / "traps.log"
    user = f"createUser -e 0x{engine_id().hex()} box SHA-256 {KEYS[0]} AES {KEYS[1]}"
    file.write_text(f"authCommunity log public\n{user}\nauthUser log box priv\n")
    log.touch()
    command = [PROGRAM or "", "-f", "-C", "-c", str(file), "-Lf", str(log), "-On"]
    environment = {"SNMP_PERSISTENT_DIR": str(tmp_path / "state"), "MIBS": ""}
    daemon = subprocess.Popen([*command, f"udp:127.0.0.1:{port}"], env=environment)
    try:
        receiver = Receiver(port, log)
        receiver.wait_for("NET-SNMP version")
        yield receiver
    finally:
        daemon.terminate()
        daemon.wait()


def receivers(port: int) -> dict[str, TrapReceiver]:
    of_3 = f"snmp3://box:{KEYS[0]}@127.0.0.1:{port}?privacy_password={KEYS[1]}"
    return {
        "2c": trap_receiver(f"snmp2c://public@127.0.0.1:{port}"),
        "3": trap_receiver(of_3),
    }


@needs_program
@pytest.mark.parametrize("version", ["2c", "3"])
def test_trap_when_an_alert_begins_and_ends_then_snmptrapd_has_both(
    snmptrapd: Receiver, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "GATHER_SECONDS", 0.1)
    send = trap_sender([receivers(snmptrapd.port)[version]])
    told = Messages(None, UTC, 60, send_traps=send)
    told.tell(RULE, alert(1))
    began = snmptrapd.wait_for("alert-begins")
    told.tell(RULE, alert(1, ended=NOON + 60))
    over = snmptrapd.wait_for("alert-over")
    told.stop()
    assert ".1.3.6.1.6.3.1.1.4.1.0 = OID: .1.3.6.1.2.1.192.0.1" in began
    assert "12:00:00 CRITICAL: SYN <flood>: destination 192.0.2.1: 5k flows a second" in began
    assert re.search(r"192\.1\.2\.1\.3\.1 = INTEGER: 2\b", began)
    assert re.search(r"192\.1\.2\.1\.3\.1 = INTEGER: 6\b", over)
    assert told.counts == {"traps": 2}


@needs_program
def test_trap_when_the_sender_starts_anew_then_version_3_still_takes_it(
    snmptrapd: Receiver,
) -> None:
    for text in ("first", "second"):
        send = trap_sender([receivers(snmptrapd.port)["3"]])
        assert send is not None
        thread = threading.Thread(target=send, args=([Notice(text, "info", False)],))
        thread.start()
        thread.join()
        snmptrapd.wait_for(text)


def test_trap_when_a_receiver_is_not_known_then_counted_and_others_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(messages, "GATHER_SECONDS", 0.1)
    sent: list[str] = []
    send = trap_sender([TrapReceiver("nobody.invalid", 162, community="public")])
    told = Messages(lambda _title, text: sent.append(text) or True, UTC, 60, send_traps=send)
    told.tell(RULE, alert())
    told.stop()
    assert (len(sent), told.counts) == (1, {"sent": 1, "failed": 1})


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("snmp2c://host", "expected snmp2c://community@host"),
        ("snmp2c://secret@host:99999", "its port is no number"),
        ("snmp3://box:secret1@host", "a password of SNMP has 8 characters at least"),
        ("snmp3://box@host?privacy_password=secret123", "privacy needs the password"),
        ("snmp3://box:secret123@host?auth=rot13", "auth: expected md5, sha"),
        ("snmp3://box:secret123@host?secret=1", "1 unknown options, expected auth"),
    ],
)
def test_address_when_it_is_none_of_snmp_then_refused_without_what_is_secret(
    conf: Callable[[str], Path], address: str, error: str
) -> None:
    with pytest.raises(SettingsError) as problem:
        open_app(conf(f"alerts:\n  send_to: ['{address}']\n"))
    assert error in str(problem.value)
    assert "secret" not in str(problem.value)


@contextmanager
def syslog_server() -> Iterator[tuple[int, socket.socket]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(_SECONDS)
        yield server.getsockname()[1], server


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_message_when_sent_to_a_syslog_server_then_it_has_the_alert() -> None:
    with syslog_server() as (port, server):
        send = apprise_sender([f"rsyslog://127.0.0.1:{port}/local0", "snmp2c://public@127.0.0.1"])
        assert send is not None
        assert send("CRITICAL: SYN flood", "12:00:00 CRITICAL: SYN flood: destination 192.0.2.1")
        datagram = server.recv(4096).decode()
    assert datagram.startswith("<134>")
    assert "SYN flood: destination 192.0.2.1" in datagram
