from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from appliance.contracts import ADMINISTRATOR, USER
from appliance.errors import SettingsError
from appliance.plugins.oidc.oidc_settings import OIDC_SETTINGS
from appliance.settings.types import Text, sample_setting
from tests.web.appliance import PASSWORD, Appliance, made_app, made_appliance
from tests.web.building import Reply

ROLES = ["netadmins=Administrator", "staff=User"]
APPS = "/api/v1/netflow/getTopApps"
HOST = {"HTTP_HOST": "flows.example:8443", "wsgi.url_scheme": "https"}


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def state_of(location: str) -> str:
    return parse_qs(urlsplit(location).query)["state"][0]


class Provider:
    """The provider's address, and what a browser does there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._opener = urllib.request.build_opener(NoRedirect)

    def lie(self, kind: str) -> dict[str, int]:
        """Make it lie; return how often each path was asked for."""
        with urllib.request.urlopen(f"{self.url}/lie?{urlencode({'kind': kind})}") as reply:
            return json.loads(reply.read())

    def sign_in(self, location: str, subject: str | None) -> str:
        """Sign in as a user, or press the button that denies; return the query that goes back."""
        form = {"action": "deny"} if subject is None else {"sub": subject}
        with pytest.raises(urllib.error.HTTPError) as caught:
            self._opener.open(location, urlencode(form).encode())
        with caught.value as answer:
            target = urlsplit(answer.headers["Location"])
        assert target.path == "/auth/oidc/callback"
        if subject is None:
            # RFC 6749 section 4.1.2.1; this provider forgets it.
            return f"{target.query}&{urlencode({'state': state_of(location)})}"
        return target.query


@pytest.fixture(scope="module")
def running_provider() -> Iterator[Provider]:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("provider.py"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    yield Provider(f"http://127.0.0.1:{int(process.stdout.readline())}")
    process.terminate()
    process.communicate(timeout=20)


@pytest.fixture
def provider(running_provider: Provider) -> Provider:
    running_provider.lie("")
    return running_provider


@pytest.fixture
def appliance_of(provider: Provider, tmp_path: Path) -> Iterator[Any]:
    """Return an appliance whose settings can be others."""
    made: list[Appliance] = []

    def make(**settings: Any) -> Appliance:
        known = {
            "oidc.issuer": provider.url,
            "oidc.client_id": "appliance",
            "oidc.client_secret": "s3cr3t" * 6,
            "oidc.roles": ROLES,
        }
        known |= {name.replace("__", "."): value for name, value in settings.items()}
        made.append(made_appliance(tmp_path, **known))
        return made[0]

    yield make
    for appliance in made:
        appliance.close()


@pytest.fixture
def appliance(appliance_of: Any) -> Appliance:
    return appliance_of()


def begin(appliance: Appliance, to: str = "") -> tuple[str, dict[str, str]]:
    """Return where a browser is sent, and the cookie that it brings back."""
    query = f"?next={quote(to, safe='')}" if to else ""
    reply = appliance.client("GET", f"/auth/oidc{query}", **HOST)
    assert reply.status == 302, reply.body
    (cookie,) = reply.cookies
    attributes = "Max-Age=600; Path=/auth/oidc; HttpOnly; SameSite=Lax; Secure"
    assert cookie.endswith(attributes)
    return reply.headers["location"], {"HTTP_COOKIE": cookie.partition(";")[0]}


def sign_in(appliance: Appliance, provider: Provider, subject: str | None, to: str = "") -> Reply:
    location, cookie = begin(appliance, to)
    query = provider.sign_in(location, subject)
    cross_site = {"HTTP_SEC_FETCH_SITE": "cross-site"}
    return appliance.client("GET", f"/auth/oidc/callback?{query}", **cookie, **HOST, **cross_site)


def token_of(reply: Reply) -> str:
    assert reply.status == 200, reply.body
    access, ended = reply.cookies
    assert access.endswith("Max-Age=1200; Path=/; HttpOnly; SameSite=Strict; Secure")
    assert ended.startswith("oidc_state=; Max-Age=0; Path=/auth/oidc")
    return access.removeprefix("access_token=").partition(";")[0]


def refused(reply: Reply, status: int, sentence: str) -> None:
    assert (reply.status, sentence in reply.body.decode()) == (status, True), reply.body
    assert not [cookie for cookie in reply.cookies if cookie.startswith("access_token")]


def roles(appliance: Appliance, username: str) -> tuple[str, ...]:
    user = appliance.store.user_named(username)
    return () if user is None else user.roles


def test_user_when_signed_in_first_then_made_with_the_mapped_roles(appliance, provider):
    reply = sign_in(appliance, provider, "s1", "/console/explore?filter=a%20b")
    token = token_of(reply)
    assert reply.headers["refresh"] == "0; url=/console/explore?filter=a%20b"
    assert roles(appliance, "janedoe") == (ADMINISTRATOR, USER)
    assert appliance.client.get(APPS, token).status == 200
    assert appliance.client.get("/api/v1/account", token).json["username"] == "janedoe"
    (session,) = appliance.client.get("/api/v1/account/sessions", token).json["sessions"]
    assert session["current"]
    assert appliance.client("POST", "/auth", token=token).status == 200
    entry = appliance.get("/audit?limit=50")["audit"]
    assert any((e["who"], e["detail"]) == ("janedoe", "sign in") for e in entry)


def test_user_when_made_by_the_provider_then_no_password_opens_the_account(appliance, provider):
    token_of(sign_in(appliance, provider, "s2"))
    for password in ("", PASSWORD, "."):
        assert appliance.sign_in("joe", password).status in (401, 429)


def test_user_when_signing_in_again_then_the_same_with_the_roles_of_now(appliance_of, provider):
    appliance = appliance_of(oidc__roles=["staff=User", "netadmins=Administrator"])
    token_of(sign_in(appliance, provider, "s2"))
    user = appliance.store.user_named("joe")
    assert (
        appliance("PUT", f"/user/{user.id}", "addRole=Administrator&username=joseph").status == 200
    )
    token_of(sign_in(appliance, provider, "s2"))
    assert appliance.store.user(user.id).roles == (USER,), "the provider does not say Administrator"
    assert appliance.store.user_named("joe") is None, "known by subject, not by name"


def test_user_when_deleted_here_then_made_anew(appliance, provider):
    token = token_of(sign_in(appliance, provider, "s2"))
    user = appliance.store.user_named("joe")
    appliance.store.delete_user(user.id)
    assert appliance.client.get(APPS, token).status == 401
    token_of(sign_in(appliance, provider, "s2"))
    assert appliance.store.user_named("joe").id != user.id


@pytest.mark.parametrize(
    ("subject", "sentence"),
    [
        ("s3", "gives you no role here"),
        ("s4", "Your name belongs to another account here"),
        ("s5", "tells no name of you in preferred_username"),
        (None, "says no: "),
    ],
)
def test_user_when_not_to_be_let_in_then_a_sentence_and_no_account(
    appliance, provider, subject, sentence
):
    before = appliance.store.users()
    refused(sign_in(appliance, provider, subject), 403, sentence)
    assert appliance.store.users() == before
    assert appliance.get("/audit?limit=1")["audit"][0]["result"] == "refused"


def test_roles_when_everybody_has_one_or_the_claim_is_nested_then_given(appliance_of, provider):
    appliance = appliance_of(
        oidc__roles=["*=User", "staff=Administrator"], oidc__roles_claim="realm_access.roles"
    )
    token_of(sign_in(appliance, provider, "s3"))
    token_of(sign_in(appliance, provider, "s6"))
    assert (roles(appliance, "guest"), roles(appliance, "kim")) == ((USER,), (USER, ADMINISTRATOR))


def test_roles_when_mapped_to_one_that_does_not_exist_then_a_sentence(appliance_of, provider):
    appliance = appliance_of(oidc__roles=["staff=Operator"])
    refused(sign_in(appliance, provider, "s2"), 403, "No role found with name - Operator")


@pytest.mark.parametrize(
    "lie",
    [
        *("nonce", "no nonce", "audience", "azp", "issuer", "expired", "no expiry", "issued later"),
        *("signature", "key", "algorithm none", "client secret as key", "no token"),
        "no groups, userinfo of another",
    ],
)
def test_id_token_when_forged_then_refused(appliance, provider, lie):
    before = appliance.store.users()
    provider.lie(lie)
    refused(sign_in(appliance, provider, "s1"), 403, "answer is not valid")
    assert appliance.store.users() == before


def test_claims_when_the_id_token_lacks_them_then_userinfo_has_them(appliance, provider):
    provider.lie("no groups")
    token_of(sign_in(appliance, provider, "s2"))
    assert roles(appliance, "joe") == (USER,)


def test_state_when_forged_missing_over_or_of_another_browser_then_refused(appliance, provider):
    location, cookie = begin(appliance)
    query = parse_qs(provider.sign_in(location, "s1"))
    code, state = query["code"][0], query["state"][0]
    _, other = begin(appliance)
    token = {"HTTP_COOKIE": f"oidc_state={appliance.admin}"}
    broken = {"HTTP_COOKIE": cookie["HTTP_COOKIE"][:-4] + "AAAA"}

    def call(state: str | None, **environ: str) -> Reply:
        given = {"code": code} | ({} if state is None else {"state": state})
        return appliance.client("GET", f"/auth/oidc/callback?{urlencode(given)}", **environ, **HOST)

    for reply in (
        *(call(text, **cookie) for text in (None, "", "x", "\N{SNOWMAN}", state + "x")),
        *(call(state, **environ) for environ in ({}, other, token, broken)),
    ):
        refused(reply, 403, "not begun in this browser")
    assert call(state, **cookie).status == 200, "the code was still good"
    refused(call(state, **cookie), 403, "answer is not valid")
    as_token = cookie["HTTP_COOKIE"].removeprefix("oidc_state=")
    assert appliance.client.get(APPS, as_token).status == 401, "a state is no token"


def test_verifier_when_of_another_sign_in_then_the_provider_refuses_the_code(appliance, provider):
    location, _ = begin(appliance)
    code = parse_qs(provider.sign_in(location, "s1"))["code"][0]
    other, cookie = begin(appliance)
    query = urlencode({"code": code, "state": state_of(other)})
    provider.sign_in(other, "s1")
    reply = appliance.client("GET", f"/auth/oidc/callback?{query}", **cookie, **HOST)
    refused(reply, 403, "answer is not valid")


def test_issuer_when_the_answer_names_another_then_refused(appliance, provider):
    location, cookie = begin(appliance)
    query = provider.sign_in(location, "s1") + "&iss=https%3A%2F%2Fanother.example"
    reply = appliance.client("GET", f"/auth/oidc/callback?{query}", **cookie, **HOST)
    refused(reply, 403, "answer is not valid")


@pytest.mark.parametrize(
    "path",
    [
        *("//evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)"),
        *("/\t/evil.example", "/ /x", "/\n", "/" + "x" * 2000, "evil", "/\N{SNOWMAN}"),
    ],
)
def test_return_path_when_not_of_this_server_then_the_start_page(appliance, provider, path):
    reply = sign_in(appliance, provider, "s2", path)
    token_of(reply)
    assert reply.headers["refresh"] == "0; url=/"


def test_return_path_when_it_has_signs_of_html_then_escaped(appliance, provider):
    reply = sign_in(appliance, provider, "s2", "/x?a=<script>\"'&b=;url=//evil")
    assert b"<script>" not in reply.body
    assert reply.headers["refresh"] == "0; url=/x?a=%3Cscript%3E%22%27&b=%3Burl=//evil"
    assert "script-src" not in reply.headers["content-security-policy"]


def test_redirect_when_begun_then_code_flow_with_pkce_to_where_browsers_are(appliance, provider):
    location, _ = begin(appliance)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    assert location.startswith(f"{provider.url}/oauth2/authorize?")
    assert asked["redirect_uri"] == "https://flows.example:8443/auth/oidc/callback"
    assert (asked["response_type"], asked["client_id"]) == ("code", "appliance")
    assert (asked["scope"], asked["code_challenge_method"]) == ("openid profile", "S256")
    again, _ = begin(appliance)
    other = parse_qs(urlsplit(again).query)
    for name in ("state", "nonce", "code_challenge"):
        assert other[name][0] != asked[name]


def test_redirect_when_the_own_address_is_set_then_there(appliance_of, provider):
    appliance = appliance_of(oidc__own_url="https://flows.example/")
    location, _ = begin(appliance)
    uri = parse_qs(urlsplit(location).query)["redirect_uri"][0]
    assert uri == "https://flows.example/auth/oidc/callback"


def test_provider_when_away_then_one_sentence_and_passwords_work(appliance, provider):
    provider.lie("away")
    reply = appliance.client("GET", "/auth/oidc", **HOST)
    refused(reply, 503, "The sign-in provider does not answer as it should")
    assert appliance.sign_in("user").status == 200
    provider.lie("")
    location, cookie = begin(appliance)
    query = provider.sign_in(location, "s1")
    provider.lie("away")
    reply = appliance.client("GET", f"/auth/oidc/callback?{query}", **cookie, **HOST)
    refused(reply, 503, "does not answer")


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:9", "SELF/other"])
def test_provider_when_nobody_listens_or_it_is_another_then_one_sentence(
    appliance_of, provider, issuer
):
    appliance = appliance_of(oidc__issuer=issuer.replace("SELF", provider.url))
    refused(appliance.client("GET", "/auth/oidc", **HOST), 503, "does not answer as it should")


def test_documents_when_fetched_then_kept(appliance, provider):
    before = provider.lie("")
    for _ in range(3):
        token_of(sign_in(appliance, provider, "s2"))
    after = provider.lie("")
    for path in ("/.well-known/openid-configuration", "/jwks"):
        assert after[path] - before.get(path, 0) == 1


def test_ways_when_asked_then_the_button_is_among_them(appliance_of, tmp_path):
    appliance = appliance_of(oidc__title="Company login")
    ways = appliance.client("GET", "/api/v1/account/ways")
    assert ways.json == {
        "password": True,
        "oidc": {"title": "Company login", "url": "/auth/oidc"},
    }
    without = made_appliance(tmp_path / "without")
    assert without.client("GET", "/api/v1/account/ways").json == {"password": True}
    assert without.client("GET", "/auth/oidc").status == 404
    without.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("oidc.issuer", "http://login.example"),
        ("oidc.issuer", "login.example"),
        ("oidc.issuer", "https://login.example?x=y"),
        ("oidc.issuer", "file:///etc/passwd"),
        ("oidc.roles", ["netadmins"]),
        ("oidc.roles", ["=User"]),
    ],
)
def test_setting_when_unfit_then_refused_with_what_was_expected(tmp_path, name, value):
    with pytest.raises(SettingsError, match="expected"):
        made_app(tmp_path, **{name: value})


def test_client_secret_when_settings_are_shown_then_hidden():
    (setting,) = (one for one in OIDC_SETTINGS if one.name == "oidc.client_secret")
    assert "s3cr3t" not in sample_setting(setting.type, "s3cr3t")
    assert sample_setting(setting.type, "") == sample_setting(Text(), "")
