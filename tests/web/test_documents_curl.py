"""Every example of Authentication, Analytics, Admin Calls, Users and User Roles, by real curl."""

from __future__ import annotations

import base64
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from appliance.accounts.secret import read_secret, secret_path
from appliance.app import App, open_app
from appliance.contracts import ADMINISTRATOR, USER, UserChange
from appliance.flowlog import FlowLogLimits, FlowLogWriter
from appliance.flows import FlowBatch, address_halves
from appliance.plugins.auth.tokens import role_token
from appliance.sql.table_names import ACCOUNT, ACCOUNT_ROLE, SIGN_IN_ATTEMPTS
from appliance.stores import store_factory
from tests.web.appliance import PASSWORD, PASSWORD_HASH
from tests.web.documented import Example, answer_of, command_of, run_curl, sections, shape

ROOT = Path(__file__).parents[2]
NULL = ('"null"', "null")  # the notes: null, the document's "null" is a misprint
HASH = ('"passwordHash"', f'"{PASSWORD_HASH}"')

USERS = {
    "nobody": (),
    "one user": (("firstUser", (USER,), ("first", "user", "firstisBest@destne.com")),),
    "two users": (
        ("firstUser", (USER, ADMINISTRATOR), ("myName", "isFirst", "firstuser@destne.com")),
        ("secondUser", (), (None, None, None)),
    ),
    "two administrators": (
        ("firstUser", (USER, ADMINISTRATOR), (None, None, None)),
        ("secondUser", (ADMINISTRATOR,), (None, None, None)),
    ),
}

ANALYTICS = {
    "Get Column Information": (),
    # The document shows a bare object; the notes settle that it is an array.
    "Get Ingress Top Talkers": (("{\n", "[{\n"), ("}\n", "}]\n")),
    "Get Egress Top Talkers": (),
    "Get Top Applications": (),
    "Most Active Applications": (),
    "Bytes per Hour": (),
    "Average Packet Size per Application": (),
    # Beside the documented key stands the one that is spelt right.
    "Protocol Distribution": (('"udp",', '"udp", "protocol": "udp",'),),
    "Packets Sent per Application": (),
}

REPEATING = (("deleteRole=User", "password=aB1-aB1-aaa"),)
UNDERSCORE = (("username=thirdUser", "username=third_User"),)
ROLES, ADD, DELETE = (
    "Get Roles For A Specific User",
    "Add A Role To A User",
    "Delete A Role From A User",
)
BASIC, BEARER = "Basic Authentication", "Bearer Authentication"
SUCCESS = (("false", "true"),)
# The document shows a pattern where a path belongs, and once no host.
ENDPOINT = (("api_endpoint_here", "https://localhost:8443/api/v1/admin/user"),)
ANY_PATH = (("api/*", "api/v1/admin/user"),)
NO_HOST = (("api/* HTTP/1.1", "api/v1/admin/user HTTP/1.1\nHost: localhost:8443"),)

TABLE = [
    Example(BASIC, keys_only=True, answer_corrections=SUCCESS),
    Example(BASIC, "http 0", keys_only=True, answer_corrections=SUCCESS),
    Example(BEARER, corrections=ENDPOINT, token="none", status=401),
    Example(BEARER, "http 0", corrections=ANY_PATH, token="none", status=401),
    Example(BEARER, "http 1", corrections=NO_HOST, token="none", status=401),
    *(
        Example(name, block, answer_corrections=wrong, keys_only=True)
        for name, wrong in ANALYTICS.items()
        for block in ("shell 0", "http 0")
    ),
    Example("Get All Users", answer_corrections=(NULL, HASH)),
    Example("Get All Users", "http 0", answer_corrections=(NULL, HASH)),
    Example("Get A Specific User", state="one user"),
    Example("Get A Specific User", "http 0", state="one user"),
    Example("Add A User", status=201),
    Example("Add A User", "http 0", status=201),
    Example("Add A User", corrections=UNDERSCORE, answer=1, status=400),
    Example("Modify A User"),
    Example("Modify A User", "http 0", state="one user"),
    Example("Modify A User", corrections=REPEATING, answer=1, status=400),
    Example("Delete A User", state="two administrators"),
    Example("Delete A User", "http 0", state="two administrators"),
    Example("Delete A User", state="nobody", answer=1, status=404),
    Example(ROLES),
    Example(ROLES, "http 0"),
    Example(ADD, state="one user"),
    Example(ADD, "http 0", state="one user"),
    Example(ADD, answer=1, status=409),
    Example(DELETE, state="two administrators"),
    Example(DELETE, "http 0", state="two administrators"),
    Example(DELETE, state="one user", answer=1, status=404),
]

COVERED = ("Basic Authentication", "Device Management")
"""From the first of these headings to the second, every example must be in the table."""


def flows(now: float) -> FlowBatch:
    """Return ten minutes of traffic, of two protocols and applications, both ways."""
    n = 40
    odd = np.arange(n) % 2
    hi, lo = address_halves("192.0.2.7")
    times = (now - 600 + np.arange(n) * 10) * 1000
    return FlowBatch(
        n,
        {
            "collection_time_milliseconds": times.astype(np.int64),
            "exporter_address_hi": np.full(n, hi, np.uint64),
            "exporter_address_lo": np.full(n, lo, np.uint64),
            "source_address_hi": np.full(n, hi, np.uint64),
            "source_address_lo": np.full(n, lo + 1, np.uint64) + odd.astype(np.uint64),
            "destination_address_hi": np.full(n, hi, np.uint64),
            "destination_address_lo": np.full(n, lo + 9, np.uint64),
            "source_transport_port": np.full(n, 50000, np.uint16),
            "destination_transport_port": np.where(odd, 443, 53).astype(np.uint16),
            "protocol_identifier": np.where(odd, 6, 17).astype(np.uint8),
            "octet_delta_count": np.full(n, 1500, np.uint64),
            "packet_delta_count": np.full(n, 3, np.uint64),
            "flow_direction": (np.arange(n) // 2 % 2).astype(np.uint8),
        },
    )


def fill(app: App) -> None:
    """Bring traffic into the flow log and the roll-ups."""
    now = time.time()
    writer = FlowLogWriter(
        app.settings["data_directory"] / "flowlog", FlowLogLimits(minimum_free_octets=0)
    )
    writer.start()
    writer.append(flows(now))
    writer.flush({}, int(now * 1000))
    writer.close(int(now * 1000))
    opened = store_factory(app.stores, app.settings)
    assert opened is not None
    store = opened()
    for _ in range(100):
        report = store.load_once(now)
        if not report.busy and not report.rows:
            break
    store.close()


pytestmark = pytest.mark.skipif(
    shutil.which("curl") is None, reason="curl is not installed: apt-get install curl"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return a running `appliance serve` with HTTPS: its app, address and certificate."""
    folder = tmp_path_factory.mktemp("curl")
    (folder / "appliance.yml").write_text(
        "data_directory: var\nweb.listen: 127.0.0.1:0\naccounts.password_cost: 8\n"
    )
    (folder / "api_server.yml").write_text("listen: {address: 127.0.0.1, port: 0}\n")
    app = open_app(folder)
    fill(app)
    command = [sys.executable, "-m", "appliance", "-confPath", f"{folder}/"]
    subprocess.run([*command, "cert"], check=True, capture_output=True, cwd=ROOT)
    process = subprocess.Popen(
        [*command, "serve"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT
    )
    assert process.stderr is not None
    try:
        line = next(line for line in process.stderr if "the API answers at https" in line)
        port = re.search(r":(\d+)/\s*$", line)
        assert port
        yield app, f"localhost:{port[1]}", folder / "var" / "tls" / "certificate.pem"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def set_users(app: App, state: str) -> None:
    """Have exactly these users, numbered from 1."""
    store = app.open_accounts()
    with sqlite3.connect(app.settings["data_directory"] / "appliance.sqlite") as database:
        for table in (ACCOUNT, ACCOUNT_ROLE, SIGN_IN_ATTEMPTS):
            database.execute(f"DELETE FROM {table}")
        database.execute("DELETE FROM sqlite_sequence WHERE name = ?", (ACCOUNT,))
    database.close()
    for username, roles, (first, last, email) in USERS[state]:
        names = {"firstname": first, "lastname": last, "email": email}
        values = {"username": username, "password_hash": PASSWORD_HASH, **names}
        store.create_user(UserChange(values, roles), time.time())
    store.close()


def token_of(app: App, kind: str) -> str:
    secret = read_secret(secret_path(app.settings))
    assert secret is not None
    roles = {"administrator": ADMINISTRATOR, "user": USER}
    return role_token(secret, roles[kind], 600, time.time()) if kind in roles else "nonsense"


def performed(server, example: Example):
    app, address, certificate = server
    set_users(app, example.state)
    credentials = base64.b64encode(f"firstUser:{PASSWORD}".encode()).decode()
    command = command_of(example, address, token_of(app, example.token), credentials)
    return run_curl(command, certificate)


@pytest.mark.parametrize("example", TABLE, ids=str)
def test_example_when_run_then_answered_as_documented(server, example):
    status, found = performed(server, example)
    expected = answer_of(example)
    assert status == example.status, found
    if not example.keys_only:
        assert found == expected
    if example.section == "Get Column Information":
        expected, found = ([next(iter(each[0].values()))] for each in (expected, found))
        assert list(found[0]) == list(expected[0])
    else:
        assert shape(found) == shape(expected)


def test_administrators_route_when_a_user_asks_then_the_documented_refusal(server):
    example = Example("Get All Users", token="user")
    status, found = performed(server, example)
    assert (status, found) == (403, answer_of(Example("Admin Calls")))


def test_table_when_compared_with_the_document_then_every_example_is_in_it():
    titles = list(sections())
    covered = titles[titles.index(COVERED[0]) : titles.index(COVERED[1])]
    expected = {
        (title, f"{kind} {number}")
        for title in covered
        for kind in ("shell", "http")
        for number in range(sum(found == kind for found, _ in sections()[title]))
    }
    assert expected == {(example.section, example.block) for example in TABLE}
    answers = {(t, n) for t in covered for n in range(sum(k == "json" for k, _ in sections()[t]))}
    shown = {(example.section, example.answer) for example in TABLE} | {("Admin Calls", 0)}
    assert answers == shown
