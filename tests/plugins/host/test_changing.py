"""The routes that do something, through a real helper behind a real socket."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.plugins.host.machine import Machine
from appliance.privileged.storage import STATE_FOLDER
from tests.privileged.box import INTERFACE, needs_namespaces, started_box
from tests.privileged.helper_server import HelperServer
from tests.privileged.interfaces_files import STATIC_VALUES, needs_ifupdown
from tests.privileged.scripted import INTERFACES
from tests.web.appliance import Appliance, made_appliance

DOING = [
    ("GET", "restart"),
    ("POST", "restart"),
    ("GET", "shutdown"),
    ("POST", "shutdown"),
    ("PUT", "network"),
    ("POST", "network/change/confirm"),
]
STATIC_FORM = urllib.parse.urlencode(STATIC_VALUES)
INVALID = "Network not set, information is invalid please check format"
SETTINGS = {"host.interface": "eth0", "host.network_rollback_seconds": "600"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HelperServer]:
    server = HelperServer(tmp_path)
    yield server
    server.close()


def appliance_with(
    machine: Machine, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: str
) -> Appliance:
    monkeypatch.setattr("appliance.plugins.host.machine_of", lambda settings: machine)
    return made_appliance(folder, **(SETTINGS | settings))


@pytest.fixture
def managed(
    server: HelperServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Appliance]:
    pending = server.scripted.root / STATE_FOLDER / "pending"
    machine = Machine(helper_socket=server.path, pending=pending)
    made = appliance_with(machine, tmp_path, monkeypatch)
    yield made
    made.close()


def call(made: Appliance, method: str, path: str, body: Any = "") -> tuple[int, Any]:
    reply = made(method, f"/device/{path}", body)
    return reply.status, reply.json


@pytest.mark.parametrize(("method", "path"), DOING)
def test_route_when_the_machine_is_no_appliance_then_501_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, path: str
):
    machine = Machine(helper_socket=tmp_path / "nothing")
    made = appliance_with(machine, tmp_path, monkeypatch)
    status, answer = call(made, method, path, "state=dhcp" if method == "PUT" else "")
    made.close()
    assert status == 501
    assert answer["message"].startswith("This machine is not set up as an appliance")
    documented = {
        "restart": "Unable to reboot device",
        "shutdown": "Unable to shutdown device",
        "network": "Network not set",
    }
    assert answer["error"] == documented.get(path, "Network not confirmed")


@pytest.mark.parametrize(
    "body", ["nonsense=1", "state=static&ipaddress=1.2.3", "state=dhcp&state="]
)
def test_change_when_it_is_invalid_and_the_machine_no_appliance_then_said_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
):
    made = appliance_with(Machine(helper_socket=tmp_path / "nothing"), tmp_path, monkeypatch)
    status, answer = call(made, "PUT", "network", body)
    made.close()
    assert status == 400
    assert answer["error"] == "Network not set, information is invalid please check format"
    assert answer["message"]


def test_change_when_the_machine_is_no_appliance_then_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = appliance_with(Machine(helper_socket=tmp_path / "nothing"), tmp_path, monkeypatch)
    assert call(made, "GET", "network/change") == (
        200,
        {"state": "none", "inProgress": False, "managed": False},
    )
    made.close()


def test_machine_when_managed_without_root_then_501(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    machine = Machine(manage=True, helper_socket=tmp_path / "nothing", command=("/bin/false",))
    made = appliance_with(machine, tmp_path, monkeypatch)
    status, answer = call(made, "GET", "restart")
    made.close()
    assert (status, answer["message"]) == (
        501,
        "The API does not run as root, which host.manage needs",
    )


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("path", "verb", "message"),
    [
        (
            "restart",
            "reboot",
            "Device is rebooting, please wait a minute and refresh the browser",
        ),
        (
            "shutdown",
            "poweroff",
            "Device is shutting down... to use destne again manually power the machine back on",
        ),
    ],
)
def test_power_when_asked_then_answered_done_and_in_the_audit_trail(
    managed: Appliance, server: HelperServer, method: str, path: str, verb: str, message: str
):
    assert call(managed, method, path) == (200, {"message": message})
    server.wait()
    (done,) = server.scripted.calls
    assert done.startswith("systemd-run")
    assert done.endswith(f"/bin/systemctl {verb}")
    entry = managed.store.audit(1)[0]
    assert (entry.who, entry.action, entry.status) == (
        "root",
        f"{method} /api/v1/admin/device/{path}",
        200,
    )


@pytest.mark.parametrize(
    ("path", "error"),
    [("restart", "Unable to reboot device"), ("shutdown", "Unable to shutdown device")],
)
def test_power_when_it_fails_then_500_with_the_documented_error(
    managed: Appliance, server: HelperServer, path: str, error: str
):
    server.scripted.script("usr/bin/systemd-run", "echo bus is gone; exit 1")
    assert call(managed, "POST", path) == (
        500,
        {"error": error, "success": False, "message": "Systemd-run: bus is gone"},
    )


def test_power_when_only_the_head_is_asked_for_then_refused(
    managed: Appliance, server: HelperServer
):
    assert managed("HEAD", "/device/restart").status == 405
    assert server.scripted.calls == []


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"gateway": "192.1.2.1"}, "Gateway: 192.1.2.1 is not inside 192.1.1.0/24"),
        ({"nameserver2": ""}, "Nameserver2: needed with state static"),
        ({"state": "other"}, "State: expected static or dhcp"),
    ],
)
def test_network_when_invalid_then_the_documented_error_and_which_value(
    managed: Appliance, server: HelperServer, values: dict[str, str], word: str
):
    status, answer = call(managed, "PUT", "network", urllib.parse.urlencode(STATIC_VALUES | values))
    assert (status, answer["error"]) == (400, INVALID)
    assert answer["message"].startswith(word)
    assert server.scripted.calls == []


def test_network_when_a_parameter_is_unknown_then_named(managed: Appliance):
    status, answer = call(managed, "PUT", "network", f"{STATIC_FORM}&netmsak=1")
    assert status == 400
    assert "netmsak" in answer["message"]


@needs_ifupdown
@pytest.mark.parametrize("body", [STATIC_FORM, STATIC_VALUES], ids=["form", "JSON"])
def test_network_when_changed_then_the_documented_message_and_the_state(
    managed: Appliance, server: HelperServer, body: Any
):
    server.scripted.kernel.gateway_answers = True
    status, answer = call(managed, "PUT", "network", body)
    assert (status, answer["message"]) == (200, "Static Network configured successfully!")
    assert answer["change"]["rollbackSeconds"] == 600
    server.wait()
    assert "address 192.1.1.18" in server.scripted.read("etc/network/interfaces")
    assert call(managed, "GET", "network/change")[1]["state"] == "confirmed"


@needs_ifupdown
def test_network_when_dhcp_then_other_values_do_not_count(managed: Appliance, server: HelperServer):
    server.scripted.kernel.gateway_answers = True
    status, answer = call(managed, "PUT", "network", "state=dhcp&ipaddress=nonsense")
    assert (status, answer["message"]) == (200, "DHCP Network configured successfully!")
    assert answer["change"]["wanted"] == {"state": "dhcp"}
    server.wait()
    assert server.scripted.read("etc/network/interfaces") == INTERFACES


@needs_ifupdown
def test_network_when_another_program_runs_it_then_409_and_nothing_is_written(
    managed: Appliance, server: HelperServer
):
    server.scripted.write("proc/5/comm", "NetworkManager\n")
    status, answer = call(managed, "PUT", "network", STATIC_FORM)
    assert (status, answer["error"]) == (409, "Network not set")
    assert answer["message"].startswith("NetworkManager is running")
    assert server.scripted.calls == []


OLD = f"auto {INTERFACE}\niface {INTERFACE} inet static\n    address 10.7.0.5/24\n"


@needs_namespaces
def test_network_when_changed_on_a_real_interface_then_one_at_a_time_and_a_request_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with started_box(tmp_path / "box", OLD) as box:
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        machine = Machine(
            manage=True,
            helper_socket=tmp_path / "nothing",
            pending=box.state_folder / "pending",
            command=box.helper_command,
        )
        made = appliance_with(machine, tmp_path, monkeypatch, **{"host.interface": INTERFACE})
        box.run("ifup", INTERFACE)
        assert call(made, "PUT", "network", STATIC_FORM)[0] == 200
        status, answer = call(made, "PUT", "network", STATIC_FORM)
        assert (status, answer["message"]) == (409, "A change of the network is under way")
        box.until(lambda: box.change()["state"] == "waiting")
        assert box.addresses() == ["192.1.1.18/24"]
        made("GET", "/device/system", token="wrong")
        made.client("GET", "/api/v1/admin/device/system", token=made.admin, REMOTE_ADDR="127.0.0.1")
        assert box.change()["state"] == "waiting"
        made("GET", "/device/system")
        assert box.change()["message"] == "an authenticated request arrived"
        status, answer = call(made, "POST", "network/change/confirm")
        assert (status, answer["message"]) == (200, "Network change confirmed")
        made.close()
