from __future__ import annotations

from pathlib import Path

import pytest

from appliance.errors import SettingsError
from appliance.settings.types import ListenAddress
from appliance.web.api_server import API_SETTINGS, TlsFiles, read_api_server
from appliance.web.cors import Cors
from appliance.web.listeners import appliance_tls, configured_listeners, listen_url
from tests.web.building import settings_of

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def read(tmp_path):
    def written(text: str):
        (tmp_path / "api_server.yml").write_text(text)
        return read_api_server(tmp_path)

    return written


def test_file_when_missing_then_the_documented_default_and_a_token_is_needed(tmp_path):
    config = read_api_server(tmp_path)
    assert (config.file, str(config.listen), config.tls) == (None, "0.0.0.0:9999", None)
    assert config.need_auth is True
    assert config.cors == Cors()
    assert config.warnings == ()


def test_file_when_empty_then_default(read):
    assert str(read("").listen) == "0.0.0.0:9999"
    assert str(read("listen:\ntls:\nhttp:\n").listen) == "0.0.0.0:9999"
    assert read("listen:\n").warnings == ()


def test_file_when_everything_is_set_then_read(read, tmp_path):
    config = read(
        """
debug: true
accessLogFile: access.log
errorLogFile: /var/log/error.log
listen: {address: "::1", port: 9998}
tls: {enabled: true, cert: c.pem, key: k.pem}
http:
  idleTimeOut: 2m
  cors:
    allowAll: false
    allowedHeaders: [x-apiauth]
    allowedMethods: [get]
    allowedOrigins: ["https://a.example"]
needAuth: false
"""
    )
    assert config.listen == ListenAddress("::1", 9998)
    assert config.tls == TlsFiles(tmp_path / "c.pem", tmp_path / "k.pem")
    assert config.cors == Cors(False, ("x-apiauth",), ("GET",), ("https://a.example",))
    assert (config.need_auth, config.debug, config.idle_seconds) == (False, True, 120.0)
    assert config.access_log == tmp_path / "access.log"
    assert config.error_log == Path("/var/log/error.log")
    assert config.warnings == ()


def test_file_when_tls_is_spelt_enable_then_the_same(read):
    assert read("tls: {enable: true, cert: c, key: k}").tls is not None
    with pytest.raises(SettingsError, match=r"tls.enabled: is set as tls.enable too"):
        read("tls: {enabled: true, enable: true, cert: c, key: k}")


def test_key_when_unknown_then_a_warning_with_the_nearest(read, tmp_path):
    config = read("needAuht: false\nhttp: {cors: {allowedOrigin: [x]}}\n")
    assert config.need_auth is True
    assert config.warnings == (
        f"{tmp_path}/api_server.yml: needAuht: unknown key, did you mean needAuth?",
        f"{tmp_path}/api_server.yml: http.cors.allowedOrigin: unknown key, did you mean"
        " http.cors.allowedOrigins?",
    )


def test_timeout_when_waitress_has_none_then_reported_as_not_acted_upon(read, tmp_path):
    config = read("http: {readTimeOut: 15s, writeTimeOut: 15, readHeaderTimeOut: 1m}")
    assert config.warnings == tuple(
        f"{tmp_path}/api_server.yml: http.{name}: is not acted upon, the server has no such timeout"
        for name in ("readTimeOut", "writeTimeOut", "readHeaderTimeOut")
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("needAuth: maybe", "needAuth: expected true or false, found maybe"),
        ("listen: {port: 99999}", "listen.port: expected a whole number from 0 to 65535, found"),
        ("listen: {address: here}", "listen.address: expected an address such as 127.0.0.1 or ::"),
        ("tls: {enabled: true, key: k}", "tls.cert: is needed where tls.enabled is true"),
        ("tls: {enabled: true, cert: c}", "tls.key: is needed where tls.enabled is true"),
        ("http: {idleTimeOut: soon}", "http.idleTimeOut: expected a duration"),
        ("needAuth: true\nneedAuth: false", "needAuth: is set twice"),
        ("[1]", "expected settings as `name: value`"),
    ],
)
def test_value_when_it_does_not_fit_then_one_sentence(read, text, sentence):
    with pytest.raises(SettingsError) as caught:
        read(text)
    assert sentence in str(caught.value)


def test_sample_when_read_then_without_warning_and_every_key_is_in_it():
    config = read_api_server(CONF)
    assert config.warnings == ()
    assert (str(config.listen), config.need_auth) == ("127.0.0.1:9999", False)
    text = (CONF / "api_server.yml").read_text()
    for setting in API_SETTINGS:
        assert f"{setting.name.rpartition('.')[2]}:" in text, setting.name


def test_listeners_when_configured_then_both_with_their_own(read, tmp_path):
    settings = settings_of(tmp_path, {"web": {"listen": ["[::1]:1", "0.0.0.0:2"]}})
    api = read("listen: {address: '::', port: 3}\nneedAuth: false\nhttp: {idleTimeOut: 5s}")
    listeners = configured_listeners(settings, api)
    assert [listen_url(listener) for listener in listeners] == [
        "http://[::1]:1/",
        "http://127.0.0.1:2/",
        "http://[::1]:3/",
    ]
    assert [listener.need_auth for listener in listeners] == [True, True, False]
    assert [listener.idle_seconds for listener in listeners] == [60.0, 60.0, 5.0]


def test_listeners_when_both_files_name_one_address_then_error(read, tmp_path):
    settings = settings_of(tmp_path, {"web": {"listen": ["127.0.0.1:9999"]}})
    with pytest.raises(SettingsError, match=r"127.0.0.1:9999 is also in web.listen"):
        configured_listeners(settings, read("listen: {address: 127.0.0.1}"))


def test_tls_when_half_configured_then_error(tmp_path):
    for given, missing in (("certificate", "key"), ("key", "certificate")):
        settings = settings_of(tmp_path, {"web": {f"tls_{given}": "x.pem"}})
        with pytest.raises(
            SettingsError, match=f"web.tls_{missing}: is needed beside web.tls_{given}"
        ):
            appliance_tls(settings)
    settings = settings_of(tmp_path, {"web": {"tls_certificate": "c", "tls_key": "k"}})
    assert appliance_tls(settings) == TlsFiles(tmp_path / "c", tmp_path / "k")
