"""What the API says of itself, against the running server: anything that schemathesis makes of the
description is answered as described, and never with an error of ours.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from appliance.accounts.secret import secret_or_new
from appliance.contracts import ADMINISTRATOR
from appliance.plugins.auth.tokens import role_token

ROOT = Path(__file__).parents[2]
EXAMPLES = 12
LEAST_OPERATIONS = 40
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
TRIED_CHANGES = re.compile(r"/auth|/signout|/v1/api/.*|/api/v1/admin/(user|token)(/.*)?")
"""Of what changes something, only what stays inside the databases of the test."""

PARTS = {"interval": "15m", "role": "User"}
"""Parts of paths; the others are 1, the number of the first user."""

WITHOUT_COLLECTOR = "/api/v1/health"
"""Answers 503 while no collector runs, which is its answer and no error."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return the address of a running `appliance serve` and an administrator's token."""
    folder = tmp_path_factory.mktemp("described")
    (folder / "appliance.yml").write_text(
        "data_directory: var\nweb.listen: 127.0.0.1:0\naccounts.password_cost: 8\n"
    )
    (folder / "api_server.yml").write_text("listen: {address: 127.0.0.1, port: 0}\n")
    token = role_token(secret_or_new(folder / "var" / "secret"), ADMINISTRATOR, 3600, time.time())
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance", "-confPath", f"{folder}/", "serve"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stderr is not None
    try:
        line = next(line for line in process.stderr if "the API answers at" in line)
        yield line.split()[-1].rstrip("/"), token
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def described(server) -> list[Any]:
    """Return every operation that may be tried."""
    address, _ = server
    document = requests.get(f"{address}/api/openapi.json", timeout=10).json()
    schema = schemathesis.openapi.from_dict(document)
    found = []
    for result in schema.get_all_operations():
        operation = result.ok()
        raw = document["paths"][operation.path][operation.method.lower()]
        if not raw["x-changes"] or TRIED_CHANGES.fullmatch(operation.path):
            found.append(operation)
    return found


def test_examples_when_sent_then_answered_as_described_and_well(server):
    """Every operation once with the examples of the description, about what is there."""
    address, token = server
    headers = {"x-apiauth": f"Bearer {token}"}
    found: dict[str, int] = {}
    for operation in described(server):
        raw = operation.definition.raw
        content = raw.get("requestBody", {}).get("content", {}).get("application/json", {})
        parts = {name: PARTS.get(name, "1") for name in re.findall(r"{(\w+)}", operation.path)}
        body = {"body": content["example"], "media_type": "application/json"} if content else {}
        case = operation.Case(path_parameters=parts, **body)
        answer = case.call(base_url=address, headers=headers)
        own_503 = answer.status_code == 503 and case.path == WITHOUT_COLLECTOR
        case.validate_response(answer, checks=CHECKS[own_503:])
        found[operation.label] = answer.status_code
    assert found["GET /api/v1/admin/user/{user_id}"] == 200
    assert found["POST /api/v1/admin/user"] == 201
    assert found["POST /api/v1/admin/token"] == 201
    assert sum(status < 300 for status in found.values()) >= LEAST_OPERATIONS * 2 // 3, found


def test_description_when_tried_then_answered_as_described(server):
    address, token = server
    operations = described(server)
    assert len(operations) >= LEAST_OPERATIONS
    session = requests.Session()
    failed: list[str] = []
    for operation in operations:

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def tried(case):
            answer = case.call(
                base_url=address, headers={"x-apiauth": f"Bearer {token}"}, session=session
            )
            own_503 = answer.status_code == 503 and case.path == WITHOUT_COLLECTOR
            case.validate_response(answer, checks=CHECKS[own_503:])

        try:
            tried()
        # Every operation is tried, so that one run shows all that is wrong.
        except FailureGroup as error:
            failed += [f"{operation.label}: {failure}" for failure in error.exceptions]
    session.close()
    assert not failed, "\n".join(failed)
    assert requests.get(f"{address}/v1/api/", timeout=10).json()["status"] == "ok"
