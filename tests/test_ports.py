"""The default ports are taken while tests run: none may depend on them."""

from __future__ import annotations

import socket

import pytest

from appliance.settings.core import CORE_SETTINGS
from appliance.web.api_server import read_api_server
from tests.conftest import DEFAULT_PORTS


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
@pytest.mark.parametrize("port", DEFAULT_PORTS)
def test_default_port_when_tests_run_then_it_is_taken(kind, port):
    with (
        socket.socket(socket.AF_INET, kind) as probe,
        pytest.raises(OSError, match="Address already in use"),
    ):
        probe.bind(("127.0.0.1", port))


def test_default_ports_when_a_default_changes_then_the_tests_take_it_too(conf):
    defaults = {setting.name: setting.default for setting in CORE_SETTINGS}
    addresses = [*defaults["collector.listen"], *defaults["web.listen"]]
    ports = {int(address.rpartition(":")[2]) for address in addresses}
    ports.add(read_api_server(conf("")).listen.port)
    assert ports == set(DEFAULT_PORTS)
