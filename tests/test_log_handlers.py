"""Where settings send the log: a file, or syslog's socket."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from appliance import log_handlers
from appliance.log_handlers import log_handler

DAEMON, LOCAL3 = 3, 19
ERROR, INFORMATION = 3, 6


@contextmanager
def written(handler: logging.Handler | None, level: int, text: str) -> Iterator[None]:
    assert handler is not None
    handler.handle(logging.LogRecord("any", level, __file__, 1, text, None, None))
    yield
    handler.close()


@pytest.mark.parametrize(
    ("name", "facility", "level", "severity"),
    [
        ("daemon", DAEMON, logging.ERROR, ERROR),
        ("local3", LOCAL3, logging.INFO, INFORMATION),
    ],
)
def test_syslog_when_named_then_lines_go_to_its_socket_with_facility_and_severity(
    tmp_path, monkeypatch, name, facility, level, severity
):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "log"))
        listening.settimeout(10)
        monkeypatch.setattr(log_handlers, "SYSLOG_SOCKET", tmp_path / "log")
        with written(log_handler(None, name), level, "größe"):
            line = listening.recv(1000).rstrip(b"\0")
    assert line.decode() == f"<{facility * 8 + severity}>netflow-appliance: größe"


@pytest.mark.parametrize("facility", ["", "daemon"])
def test_log_when_syslog_is_not_named_or_not_there_then_as_without(tmp_path, monkeypatch, facility):
    monkeypatch.setattr(log_handlers, "SYSLOG_SOCKET", tmp_path / "nothing")
    assert log_handler(None, facility) is None


def test_log_file_when_renamed_then_the_next_line_is_in_a_new_one(tmp_path):
    handler = log_handler(tmp_path / "collector.log", "daemon")
    file = tmp_path / "collector.log"
    with written(handler, logging.INFO, "first"):
        file.rename(tmp_path / "collector.log.1")
        with written(handler, logging.INFO, "second"):
            assert file.read_text().endswith("INFO second\n")


def test_log_file_when_it_cannot_be_written_then_as_without_and_said(tmp_path, caplog):
    assert log_handler(tmp_path / "no/such/folder/log", "") is None
    assert "the log stays on standard error" in caplog.text
