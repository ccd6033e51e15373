"""Credentials of SNMP that administrators set for one exporter: kept, used, and shown to nobody."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from appliance.contracts import ExporterRecord
from appliance.interface_history import interface_history
from appliance.plugins.names.snmp.own_agents import own_agents
from appliance.plugins.names.snmp.poller import SnmpPoller
from tests.plugins.names.test_snmp import ROUTER, record, settings_of
from tests.snmp_agents import AgentServer, device, honest, in_own_thread
from tests.web.appliance import JSON

EXPORTER = "192.0.2.1"
PATH = "/api/v1/exporters/1/snmp"
SECRET = "a-secret-of-many-letters"
THIRD = {"version": "3", "user": "flows", "auth_key": SECRET, "privacy_key": f"{SECRET}-2"}


@pytest.fixture(autouse=True)
def exporters(store: Any) -> None:
    store.records = [ExporterRecord(1, EXPORTER, "", "", 1.0, 1.0)]


def ask(client: Any, method: str, body: Any = None, token: str = "administrator") -> Any:
    octets = b"" if body is None else json.dumps(body).encode()
    return client(method, PATH, octets, token=token, **(JSON if body is not None else {}))


def test_agent_when_set_kept_changed_and_removed_then_secrets_never_come_out(
    client: Any, settings: Any
) -> None:
    assert ask(client, "GET").json["is_asked"] is False
    made = ask(client, "PUT", THIRD)
    assert made.status == 200, made.json
    assert made.json["is_own"]
    assert made.json["is_asked"]
    assert made.json["values"] == {
        "version": "3",
        "user": "flows",
        "has_community": False,
        "has_auth_key": True,
        "has_privacy_key": True,
    }
    changed = ask(client, "PUT", {"port": "1161"})
    assert changed.json["values"]["port"] == "1161"
    assert own_agents(settings).all()[EXPORTER] == {**THIRD, "port": 1161}
    for reply in (made, changed, ask(client, "GET")):
        assert SECRET not in json.dumps(reply.json)
    file = own_agents(settings).path
    assert file.stat().st_mode & 0o777 == 0o600
    off = ask(client, "PUT", {"is_asked": False})
    assert (off.json["is_own"], off.json["is_asked"]) == (True, False)
    gone = ask(client, "DELETE")
    assert (gone.json["is_own"], own_agents(settings).all()) == (False, {})


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"version": "1", "community": "x"}, "version: expected"),
        ({"version": "3", "user": "u", "auth_key": "short"}, "auth_key: expected 8 characters"),
        ({"community": "x", "port": "0"}, "port: expected"),
        ({"community": "x", "address": "router"}, "address: expected an address"),
        ({"version": "3", "user": "u", "privacy_key": SECRET}, "It cannot be asked so"),
        ({"version": "3"}, "It cannot be asked so"),
        ({"comunity": "x"}, "Unknown parameters: comunity"),
        ({"is_asked": "perhaps"}, "is_asked: expected true or false"),
    ],
)
def test_agent_when_a_value_does_not_fit_then_400_without_it(
    client: Any, settings: Any, body: Any, error: str
) -> None:
    answer = ask(client, "PUT", body)
    assert answer.status == 400
    assert error in answer.json["message"]
    assert SECRET not in answer.json["message"]
    assert own_agents(settings).all() == {}


def test_agent_when_the_caller_may_only_look_then_refused(client: Any) -> None:
    for method, body in (("GET", None), ("PUT", THIRD), ("DELETE", None)):
        assert ask(client, method, body, token="user").status == 403


def test_poller_when_credentials_are_set_while_it_runs_then_used_in_the_next_round(
    tmp_path: Path,
) -> None:
    settings = settings_of(tmp_path)
    poller = SnmpPoller(settings)
    exporters = [record(EXPORTER)]

    def polled() -> int:
        return in_own_thread(lambda: poller.poll(exporters, time.time())).answered

    with AgentServer(honest(device(ROUTER))) as server:
        assert polled() == 0
        values = {"community": "public", "address": "127.0.0.1", "port": str(server.port)}
        own_agents(settings).put(EXPORTER, values)
        assert polled() == 1
        own_agents(settings).put(EXPORTER, None)
        assert polled() == 0
    history = interface_history(settings)
    assert len(history.interfaces_of(EXPORTER)) == len(ROUTER)
    assert history.last_poll_ms(EXPORTER) is not None
