"""The health check of the container asks a server of this test."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.collector.running import free_port

PROBE = Path(__file__).parents[2] / "ansible" / "image" / "files" / "probe.py"


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """Have a server with one answer; return its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api/v1/health"
        finally:
            server.shutdown()
            thread.join()


def probe(url: str) -> tuple[int, str]:
    environment = os.environ | {"APPLIANCE_HEALTH_URL": url}
    done = subprocess.run([PROBE], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.parametrize(("status", "word", "code"), [(200, "degraded", 0), (503, "failing", 1)])
def test_probe_when_answered_then_only_failing_is_unhealthy_and_the_reason_is_said(
    status, word, code
):
    body = json.dumps({"status": word, "message": "The collector is not running"}).encode()
    with answering(status, body) as url:
        assert probe(url) == (code, f"{word}: The collector is not running\n")


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\x00", b'"text"', b"[1]", b"{"])
def test_probe_when_something_else_answers_then_unhealthy_without_a_traceback(body):
    with answering(200, body) as url:
        code, said = probe(url)
    assert code == 1
    assert said.startswith(url)


def test_probe_when_nobody_answers_then_unhealthy():
    code, said = probe(f"http://127.0.0.1:{free_port()}/")
    assert code == 1
    assert "refused" in said
