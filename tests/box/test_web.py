"""Both APIs from another network: over TLS and plain HTTP, and what the proxy tells of clients."""

from __future__ import annotations

from tests.box.deployment import ADMINISTRATOR, HTTP, HTTPS, PASSWORD_FILE
from tests.box.networks import MANAGEMENT_LAN
from tests.box.processes import attempt


def test_apis_when_asked_over_tls_then_both_answer(box):
    token = box.sign_in()
    assert box.ask("/api/v1/netflow/getTopApps", token) == []
    assert isinstance(box.ask("/v1/api/device/get/all", token), list)
    assert box.ask("/v1/api/")["name"] == "netflow-appliance"


def test_apis_when_asked_over_plain_http_then_the_second_listener_answers(box):
    token = box.sign_in()
    assert box.ask("/v1/api/", base=HTTP)["status"] == "ok"
    assert box.ask("/api/v1/netflow/getTopApps", token, base=HTTP) == []


def test_proxy_when_asked_then_it_speaks_http_2_and_new_tls_only(box):
    version = ["-o", "/dev/null", "-w", "%{http_version} %{ssl_verify_result}"]
    assert box.machine.curl("-k", *version, f"{HTTPS}/v1/api/").startswith("2 ")
    old = box.machine.networks.in_lan(
        ["curl", "-sk", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", f"{HTTPS}/v1/api/"]
    )
    assert attempt(old).returncode == 35


def test_proxy_when_plain_http_comes_to_the_tls_port_then_it_says_where_to_go(box):
    told = ["-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"]
    plain = HTTPS.replace("https", "http")
    assert box.machine.curl(*told, f"{plain}/v1/api/") == f"301 {HTTPS}/v1/api/"


def test_cookie_when_signed_in_over_tls_then_it_is_secure(box):
    password = box.machine.run(f"cat {PASSWORD_FILE}").strip()
    sign_in = ["-X", "POST", "-u", f"{ADMINISTRATOR}:{password}", "-D", "-", "-o", "/dev/null"]
    over_tls = box.machine.curl("-k", *sign_in, f"{HTTPS}/auth").lower()
    plain = box.machine.curl(*sign_in, f"{HTTP}/auth").lower()
    assert "secure" in next(line for line in over_tls.splitlines() if "set-cookie" in line)
    assert "secure" not in next(line for line in plain.splitlines() if "set-cookie" in line)


def test_metrics_when_asked_from_outside_then_no_forged_header_opens_them(box):
    for forged in ((), ("X-Forwarded-For: 127.0.0.1",), ("X-Real-IP: 127.0.0.1",)):
        headers = [word for line in forged for word in ("-H", line)]
        for host in ((), ("-H", "Host: localhost")):
            assert box.status("/metrics", *headers, *host) == 401
            assert box.status("/api/v1/health", *headers, *host, base=HTTP) == 401


def test_metrics_when_asked_on_the_box_then_they_are_open(box):
    told = box.machine.run(
        "python3 -c 'import ssl, urllib.request as u;"
        ' print(u.urlopen("https://localhost:8443/metrics",'
        " context=ssl._create_unverified_context()).status)'"
    )
    assert told.strip() == "200"


def test_request_when_too_large_then_json_says_so(box, tmp_path):
    (tmp_path / "big").write_bytes(bytes(4_000_000))
    body = ["-X", "POST", "--data-binary", f"@{tmp_path}/big"]
    assert box.status("/api/v1/user", *body) == 413
    assert box.ask("/api/v1/user", "", *body)["success"] is False


def test_api_when_stopped_then_the_proxy_answers_in_its_shape_until_it_is_back(box):
    box.machine.run("systemctl stop appliance-api.service")
    try:
        assert box.status("/v1/api/") == 503
        assert box.ask("/v1/api/") == {"success": False, "message": "The API is being started"}
    finally:
        box.machine.run("systemctl start appliance-api.service")
    assert box.status("/v1/api/") == 200


def test_audit_when_somebody_fails_to_sign_in_then_the_client_is_the_real_one(box):
    forged = ("-X", "POST", "-u", "nobody:wrong", "-H", "X-Forwarded-For: 203.0.113.9")
    assert box.status("/auth", *forged) == 401
    rows = box.machine.run("mariadb -N -e 'SELECT * FROM netflow_appliance.appliance_audit'")
    assert MANAGEMENT_LAN in rows
    assert "203.0.113.9" not in rows
