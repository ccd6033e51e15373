"""A real provider of OpenID Connect (oidc-provider-mock) that can be made to lie, as a program.

It runs in a process of its own, as the library warns of what it uses itself. It demands PKCE.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import jwt
import oidc_provider_mock
from cryptography.hazmat.primitives.asymmetric import rsa
from werkzeug.serving import make_server

OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
USERS = {
    "s1": {"preferred_username": "jane.doe@example.com", "groups": ["staff", "netadmins"]},
    "s2": {"preferred_username": "joe", "groups": ["staff"]},
    "s3": {"preferred_username": "guest", "groups": []},
    "s4": {"preferred_username": "user", "groups": ["staff"]},
    "s5": {"preferred_username": "---", "groups": ["staff"]},
    "s6": {"preferred_username": "kim", "realm_access": {"roles": ["staff"]}},
}


def changed_claims(lie: str, claims: dict[str, Any]) -> dict[str, Any]:
    """Return the claims of an ID token that is not as it should be."""
    now = int(time.time())
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    changes = {
        "nonce": {"nonce": "another"},
        "no nonce": {"nonce": None},
        "audience": {"aud": "another"},
        "azp": {"aud": [*audiences, "another"]},
        "issuer": {"iss": "https://another.example"},
        "expired": {"exp": now - 3600},
        "no expiry": {"exp": None},
        "issued later": {"iat": now + 3600},
        "no groups": {"groups": None},
        "no groups, userinfo of another": {"groups": None, "sub": "s2"},
    }
    return {k: v for k, v in {**claims, **changes.get(lie, {})}.items() if v is not None}


def id_token(lie: str, token: str, private: Any) -> str:
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    key, algorithm, kid = private.key, "RS256", header.get("kid")
    if lie == "signature":
        key = OTHER_KEY
    if lie == "key":
        key, kid = OTHER_KEY, "another"
    if lie == "algorithm none":
        key, algorithm = "", "none"
    if lie == "client secret as key":
        key, algorithm = "s3cr3t" * 6, "HS256"
    headers = {"kid": kid} if kid else {}
    return jwt.encode(changed_claims(lie, claims), key, algorithm=algorithm, headers=headers)


def app() -> flask.Flask:
    users = [oidc_provider_mock.User(sub=sub, claims=claims) for sub, claims in USERS.items()]
    made = oidc_provider_mock.app(user_claims=users)
    state = {"lie": ""}
    challenges: dict[str, str] = {}
    counts: dict[str, int] = {}

    @made.before_request
    def check():  # type: ignore[no-untyped-def]
        request = flask.request
        counts[request.path] = counts.get(request.path, 0) + 1
        if request.path == "/lie":
            state["lie"] = request.args["kind"]
            return flask.jsonify(counts)
        if request.path == "/oauth2/authorize":
            assert request.args["code_challenge_method"] == "S256"
        if request.path == "/oauth2/token":
            verifier = request.form.get("code_verifier", "").encode()
            digest = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest())
            if digest.rstrip(b"=").decode() != challenges.get(request.form["code"]):
                return flask.jsonify({"error": "invalid_grant"}), 400
        if state["lie"] == "away":
            return "no", 502
        return None

    @made.after_request
    def tamper(response: flask.Response) -> flask.Response:
        code = parse_qs(urlsplit(response.headers.get("Location", "")).query).get("code")
        if code:
            challenges[code[0]] = flask.request.args["code_challenge"]
        if flask.request.path == "/oauth2/token" and response.status_code == 200:
            answer = json.loads(response.get_data())
            if state["lie"] == "no token":
                del answer["id_token"]
            else:
                storage = flask.g.oidc_provider_mock_storage
                private = jwt.PyJWK(storage.jwk.as_dict(is_private=True), algorithm="RS256")
                answer["id_token"] = id_token(state["lie"], answer["id_token"], private)
            response.set_data(json.dumps(answer))
        return response

    return made


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, app(), threaded=True)
    print(server.port, flush=True)
    sys.stderr = open("/dev/null", "w")  # noqa: SIM115 - the log of requests
    server.serve_forever()
