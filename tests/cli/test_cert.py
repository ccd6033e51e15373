from __future__ import annotations

import re
import ssl
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.app import open_app
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.contracts import PUBLIC, Route
from appliance.web.api_server import TlsFiles
from appliance.web.certificates import expiry, fingerprint
from appliance.web.listeners import Listener, appliance_tls
from tests.web.serving import ANY, connect, exchange, get, serving


@pytest.fixture
def run(conf, capsys):
    folder = conf("data_directory: ../var\nweb.listen: 127.0.0.1:0\n")

    def call(*words: str) -> tuple[int, str, str]:
        code = run_command_line(group, ["-confPath", f"{folder}/", "cert", *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    call.folder = folder
    return call


@pytest.fixture
def pair(run) -> TlsFiles:
    folder = run.folder.parent / "var" / "tls"
    return TlsFiles(folder / "certificate.pem", folder / "key.pem")


def openssl(certificate: Path, *words: str) -> str:
    command = ["openssl", "x509", "-in", str(certificate), "-noout", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_cert_when_made_then_for_this_machine_and_its_fingerprint_is_printed(run, pair):
    code, printed, error = run("--name", "flows.example", "--name", "192.0.2.7", "--days", "30")
    assert (code, error) == (0, "")
    told = re.search("SHA-256 +(\\S+)", printed)
    assert told
    assert openssl(pair.certificate, "-fingerprint", "-sha256").strip().endswith(f"={told[1]}")
    names = openssl(pair.certificate, "-ext", "subjectAltName")
    for name in ("DNS:localhost", "IP Address:127.0.0.1", "DNS:flows.example", "192.0.2.7"):
        assert name in names
    assert stat.S_IMODE(pair.key.stat().st_mode) == 0o600
    assert sorted(path.name for path in pair.key.parent.iterdir()) == ["certificate.pem", "key.pem"]
    left = expiry(pair.certificate) - datetime.now(UTC)
    assert timedelta(days=29) < left < timedelta(days=30)


def test_cert_when_made_then_it_vouches_for_no_other_and_clients_take_it(run, pair):
    run()
    extensions = openssl(pair.certificate, "-ext", "basicConstraints,keyUsage,extendedKeyUsage")
    for line in ("CA:FALSE", "Digital Signature\n", "TLS Web Server Authentication"):
        assert line in extensions
    assert "Certificate Sign" not in extensions
    context = ssl.create_default_context(cafile=str(pair.certificate))
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    application = _application(open_app(run.folder).settings)
    with serving(application, Listener(ANY, "test", pair)) as server:
        with connect(server, context=context) as connection:
            assert exchange(connection, get("/x"))[0] == 200
        command = ["curl", "-sS", "--cacert", str(pair.certificate), f"{server.urls[0]}x"]
        assert subprocess.run(command, capture_output=True, check=True).stdout == b"{}"


def test_cert_when_there_is_one_then_replaced_only_when_asked(run, pair):
    run()
    before = fingerprint(pair.certificate)
    code, _, error = run()
    assert (code, error.count("\n")) == (2, 1)
    assert "is there already: --force replaces it" in error
    assert run("--if-missing") == (0, "", "")
    assert fingerprint(pair.certificate) == before
    assert run("--force")[0] == 0
    assert fingerprint(pair.certificate) != before


@pytest.mark.parametrize("name", ["a b", "", "x" * 70, "-\u2028"])
def test_cert_when_a_name_cannot_be_in_it_then_one_sentence_and_no_file(run, pair, name):
    code, _, error = run("--name", name)
    assert (code, error.count("\n")) == (2, 1)
    assert "is not a name for a certificate" in error
    assert not pair.certificate.exists()


def test_cert_when_the_folder_cannot_be_written_then_one_sentence(run):
    (run.folder.parent / "var").write_text("a file")
    code, _, error = run()
    assert (code, error.count("\n")) == (2, 1)
    assert "cannot be written" in error


def test_listener_when_the_pair_is_there_then_https_from_tls_1_2_on(run, pair):
    settings = open_app(run.folder).settings
    assert appliance_tls(settings) is None
    run()
    assert appliance_tls(settings) == pair
    context = ssl.create_default_context(cafile=str(pair.certificate))
    application = _application(settings)
    with serving(application, Listener(ANY, "test", pair)) as server:
        connection = connect(server, context=context)
        status, headers, _ = exchange(connection, get("/x"))
        assert (status, headers["strict-transport-security"]) == (200, "max-age=31536000")
        assert connection.version() in ("TLSv1.2", "TLSv1.3")
        connection.close()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, OSError)):
            connect(server, context=old)


def _application(settings):
    from tests.web.building import FakeStore, web_of

    return web_of(FakeStore(), settings, [Route("GET", "/x", lambda: {}, role=PUBLIC)])
