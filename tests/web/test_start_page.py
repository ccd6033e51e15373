"""`/`: JSON for programs, a page for browsers."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from hypothesis import given, strategies

from appliance import __version__
from appliance.contracts import PUBLIC, Route
from appliance.web.start_page import LINKS, prefers_html
from tests.web.building import Client, web_of

WITHOUT_CONSOLE = {name: link for name, link in LINKS.items() if name != "console"}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/json", "text/html;q=0.9, application/json"]
)
def test_start_when_a_program_asks_then_json_with_links_that_answer(client, accept):
    reply = client.get("/", token="", HTTP_ACCEPT=accept)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert (reply.json["name"], reply.json["version"]) == ("netflow-appliance", __version__)
    assert list(reply.json["links"]) == list(WITHOUT_CONSOLE)
    for path in reply.json["links"].values():
        assert client.get(path).status in (200, 503), path


def test_start_when_a_browser_asks_then_a_page_within_its_policy(client):
    reply = client.get("/", token="", HTTP_ACCEPT=BROWSER)
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["vary"] == "Accept"
    page = reply.body.decode()
    for path, title, _ in WITHOUT_CONSOLE.values():
        assert f'<a href="{path}"><b>{title}</b>' in page
    assert '<meta name="viewport" content="width=device-width,initial-scale=1">' in page
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = reply.headers["content-security-policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "<script" not in page
    assert " style=" not in page


def test_start_when_plugins_are_left_out_then_their_links_are_too(store, settings):
    links = Client(web_of(store, settings, [])).get("/", token="").json["links"]
    about = {"manual": "/manual/", "documentation": "/api/docs", "openapi": "/api/openapi.json"}
    assert links == about


def test_start_when_a_plugin_has_it_then_the_plugins(store, settings):
    own = Route("GET", "/", lambda: {"own": True}, role=PUBLIC)
    assert Client(web_of(store, settings, [own])).get("/").json == {"own": True}


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (BROWSER, True),
        ("text/html;q=0.5, application/json", False),
        ("text/html;q=0", False),
        ("TEXT/HTML", True),
        ("text/html;q=nan", False),
        ("text/html;q=", False),
        ("", False),
    ],
)
def test_accept_when_weighed_then_html_only_where_preferred(accept, html):
    assert prefers_html(accept) is html


@given(strategies.text(max_size=60))
def test_accept_when_anything_then_an_answer(text):
    assert prefers_html(text) in (True, False)
    assert prefers_html(f"text/html;q={text}") in (True, False)
