from __future__ import annotations

import os
import socket
from datetime import UTC, datetime

import pytest

from appliance.app import build_app
from appliance.contracts import ADMINISTRATOR, FAIL, HINT, OK, UserChange
from appliance.errors import StorageError
from appliance.plugin_manager import build_plugin_manager
from appliance.settings.file import read_settings_file
from appliance.web import checks
from appliance.web.certificates import make_pair, own_pair
from appliance.web.checks import check_web
from appliance.web.store_access import StoreAccess
from tests.web.appliance import made_app
from tests.web.building import FakeStore


@pytest.fixture
def found(conf, monkeypatch):
    """Examine under these files; return status and text of the findings about one thing."""

    def about(what: str, api: str = "", text: str = ""):
        folder = conf(f"web.listen: 127.0.0.1:0\n{text}")
        (folder / "api_server.yml").write_text(api or "listen: {address: 127.0.0.1, port: 0}")
        file = read_settings_file(folder)
        app = build_app(build_plugin_manager(file.disabled_plugins(), entry_points=()), file)
        return [(f.status, f.text) for f in check_web(app.web_parts()) if f.what.startswith(what)]

    return about


@pytest.fixture
def busy():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def test_ports_when_free_then_ok(found):
    assert found("api") == [(OK, "127.0.0.1:0 is free")] * 2


def test_port_when_busy_then_who_and_what_to_do(found, busy):
    ((_, _), (status, text)) = found("api", f"listen: {{address: 127.0.0.1, port: {busy}}}")
    assert status == FAIL
    assert text.startswith(f"cannot listen on 127.0.0.1:{busy}: the port is used by ")
    assert f"(process {os.getpid()}), stop it or change listen.port of api_server.yml" in text


def test_port_when_our_server_has_it_then_ok(found, busy, monkeypatch):
    monkeypatch.setattr(checks, "_user_of", lambda port: "appliance")
    ((_, _), (status, text)) = found("api", f"listen: {{address: 127.0.0.1, port: {busy}}}")
    assert (status, text) == (OK, f"127.0.0.1:{busy} is used by the running appliance")


def test_listener_when_open_to_everyone_then_hint(found):
    api = "listen: {address: 0.0.0.0, port: 0}\nneedAuth: false"
    assert found("api", api)[1][0] == HINT


def test_files_when_wrong_then_fail_and_warnings_are_hints(found):
    ((status, text),) = found("api", "needAuth: maybe")
    assert (status, "needAuth: expected true or false, found maybe" in text) == (FAIL, True)
    api = "listen: {address: 127.0.0.1, port: 0}\nneedAuht: false"
    assert found("api", api)[0][0] == HINT
    tls = "listen: {address: 127.0.0.1, port: 0}\ntls: {enabled: true, cert: none.pem, key: k.pem}"
    assert "none.pem: cannot be read: no such file" in found("api", tls)[1][1]


def test_secret_when_checked_then_who_can_read_it(found, tmp_path):
    path = tmp_path / "var" / "secret"
    assert found("secret") == [(OK, f"{path} will be made with the first token")]
    path.parent.mkdir(exist_ok=True)
    path.write_text("ab" * 32)
    path.chmod(0o644)
    assert found("secret") == [(HINT, f"{path} can be read by others: chmod 600 {path}")]
    path.chmod(0o600)
    assert found("secret") == [(OK, f"{path} is readable for this user only")]


def test_database_when_not_there_yet_then_it_is_not_made(found, tmp_path):
    ((status, text),) = found("flow database")
    assert (status, text) == (OK, f"{tmp_path}/var/flows.sqlite will be made")
    assert not (tmp_path / "var").exists()


def test_database_when_nobody_opens_it_then_hint(found):
    assert found("flow database", text="plugins: {disabled: [rollups]}")[0][0] == HINT


def test_database_when_damaged_or_away_then_fail(found, tmp_path):
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "flows.sqlite").write_bytes(b"no database" * 1000)
    assert found("flow database")[0][0] == FAIL
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"flows.database: mysql://u:p@127.0.0.1:{port}/x\n"
    assert found("flow database", text=url)[0][0] == FAIL


def test_store_when_it_cannot_be_opened_then_tried_again():
    store, tries = FakeStore(), []

    def open_store():
        tries.append(1)
        if len(tries) < 2:
            raise StorageError("away")
        return store

    access = StoreAccess(open_store)
    with pytest.raises(StorageError):
        access.store()
    assert access.store() is access.store() is store
    assert len(tries) == 2
    access.close()
    access.close()
    assert store.calls == {"close": 1}


def test_accounts_when_looked_at_then_whether_somebody_is_administrator(found, conf, tmp_path):
    path = tmp_path / "var" / "appliance.sqlite"
    expected = f"{path} will be made, with a first administrator"
    assert found("accounts") == [(OK, expected)]
    assert not path.exists()
    store = made_app(tmp_path).open_accounts()
    values = {"username": "ann", "password_hash": "x"}
    number = store.create_user(UserChange(values), 1.0)
    assert found("accounts") == [(HINT, "nobody is administrator: appliance run makes one")]
    store.change_user(number, UserChange({}, (ADMINISTRATOR,)), 2.0)
    store.close()
    assert found("accounts") == [(OK, "1 in the database")]
    ((status, text),) = found("accounts", text="database: 'mysql://u:pw-x@127.0.0.1:9/x'\n")
    assert (status, "pw-x" in text) == (FAIL, False)
    assert text.endswith("change database, or start it")


def test_certificate_when_it_ends_soon_then_a_hint(found, conf, tmp_path):
    assert found("certificate") == []
    pair = own_pair(made_app(tmp_path).settings)
    make_pair(pair, ["localhost"], 31, datetime.now(UTC))
    ((status, text),) = found("certificate")
    assert (status, text.startswith(f"{pair.certificate} is valid until 2")) == (OK, True)
    make_pair(pair, ["localhost"], 29, datetime.now(UTC))
    ((status, text),) = found("certificate")
    assert status == HINT
    assert text.endswith(": renew it (appliance cert --force), restart")
