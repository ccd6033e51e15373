"""The pages of administrators in a real browser, against an appliance that receives demo flows."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from playwright.sync_api import expect

import appliance
from appliance import __version__
from appliance.export_protocols import NAMES
from tests.collector.running import free_port
from tests.plugins.console.conftest import RunningSite, Watched
from tests.plugins.console.sites import basic

pytestmark = pytest.mark.slow

PASSWORD = "th!s1s@paSw0RD"
REFUSED = re.compile(r"status of (400|403|404|409|501|503)")
"""What the browser says of answers that these tests provoke."""


@pytest.fixture
def page(console: Watched) -> Iterator[Any]:
    """The page of an administrator; refusals are expected, other complaints fail the test."""
    console.page.set_default_timeout(15_000)
    yield console.page
    console.complaints = [text for text in console.complaints if not REFUSED.search(text)]


@pytest.fixture
def second(page: Any, site: RunningSite) -> Iterator[Any]:
    """The page of another administrator, `second`, whose account ends with the test."""
    users = "/api/v1/admin/user"
    assert page.request.post(users, data={"username": "second", "password": PASSWORD}).ok
    listed = page.request.get(users).json()["users"]
    number = next(user["userId"] for user in listed if user["username"] == "second")
    assert page.request.put(f"{users}/{number}", data={"addRole": "Administrator"}).ok
    context = page.context.browser.new_context(base_url=site.url)
    context.set_default_timeout(15_000)
    own = context.new_page()
    own.goto("/console/account")
    sign_in(own, "second", PASSWORD)
    expect(own.get_by_role("heading", name="Your account")).to_be_visible()
    yield own
    context.close()
    page.request.delete(f"{users}/{number}")


def sign_in(page: Any, name: str, password: str, code: str = "") -> None:
    """Fill in the form of sign-in, of a page or of its dialog, and send it."""
    form = page.locator("form.signin")
    form.get_by_label("Name", exact=True).fill(name)
    form.get_by_label("Password", exact=True).fill(password)
    form.get_by_role("button", name="Sign in").click()
    if code:
        form.get_by_label("Code of your authenticator").fill(code)
        form.get_by_role("button", name="Sign in").click()


def test_collector_when_it_runs_then_figures_of_what_arrives(page, site):
    page.goto("/console/collector")
    expect(page.get_by_text(f"on 127.0.0.1:{site.running.port}, process")).to_be_visible()
    now = page.get_by_role("region", name="Now")
    expect(now.locator(".figure", has_text="Datagrams")).to_contain_text(
        re.compile(r"[1-9][0-9.]*\u202f/s"), timeout=20_000
    )
    expect(now.locator(".figure", has_text="Kernel drops")).to_contain_text("none")


def test_collector_form_when_a_value_is_wrong_then_said_at_its_field(page):
    page.goto("/console/collector")
    port = page.get_by_label("UDP port")
    port.fill("70000")
    page.get_by_role("button", name="Save").click()
    field = page.locator(".field", has=port)
    expect(field).to_contain_text("Invalid Port (1 to 65535)")
    expect(port).to_have_attribute("aria-invalid", "true")
    page.get_by_role("button", name="Discard").click()
    expect(port).not_to_have_value("70000")


def test_collector_when_another_port_is_saved_then_a_restart_listens_there(page, site):
    page.goto("/console/collector")
    for port in (free_port(), site.running.port):
        page.get_by_label("UDP port").fill(str(port))
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text(f"saved configuration says 127.0.0.1:{port}")).to_be_visible()
        page.get_by_role("button", name="Start it again with that").click()
        page.get_by_role("button", name="Restart the collector").click()
        expect(page.get_by_text(f"on 127.0.0.1:{port}, process")).to_be_visible(timeout=40_000)


def test_collector_when_stopped_and_started_then_its_state_follows(page):
    page.goto("/console/collector")
    page.get_by_role("button", name="Stop …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("What routers send while it is stopped is lost")
    dialog.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator(".page-head .light")).to_have_text("stopped")
    expect(page.get_by_role("status").filter(has_text="failing")).to_contain_text(
        "The collector is not running"
    )
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".page-head .light")).to_have_text("running", timeout=40_000)


CHANGE_PATH = "**/api/v1/admin/device/network/change"
CHANGE = {
    "managed": True,
    "state": "waiting",
    "inProgress": True,
    "interface": "eth0",
    "wanted": {"state": "static", "ipaddress": "192.0.2.18"},
    "started": 1792713600.0,
    "rollbackSeconds": 180,
    "secondsLeft": 171,
    "message": "waits for the gateway or an authenticated request",
}
NETWORK = {
    "name": "eth0",
    "ip_address": "192.0.2.12",
    "mac_address": "02:00:00:00:00:01",
    "type": "Wired",
    "netmask": "255.255.255.0",
    "gateway_ip": "192.0.2.1",
    "networkType": "static",
    "dnsServers": [{"server": "192.0.2.53"}],
}


def test_device_when_opened_then_the_figures_of_this_machine(page):
    page.goto("/console/device")
    system = page.get_by_role("region", name="System")
    expect(system).to_contain_text(socket.gethostname())
    expect(page.get_by_role("region", name="Memory")).to_contain_text("GiB")
    expect(page.get_by_role("img", name=re.compile("Disk, [0-9]+.% used"))).to_be_visible()


@pytest.fixture
def managed(page):
    """The page, where the API says that it may restart this machine; it must not in a test."""
    change = {"state": "none", "inProgress": False, "managed": True}
    page.route(CHANGE_PATH, lambda route: route.fulfill(json=change))


def test_device_when_the_machine_is_no_appliance_then_no_button_restarts_it(page):
    waiting: list[Any] = []
    page.route(CHANGE_PATH, lambda route: waiting.append(route))  # noqa: PLW0108 - no builtin
    page.goto("/console/device")
    power = page.get_by_role("region", name="Power")
    expect(power.get_by_role("status", name="Loading")).to_be_visible()
    expect(page.get_by_role("button", name="Restart …")).to_have_count(0)
    waiting[0].continue_()
    expect(power).to_contain_text("This machine is not set up as an appliance")
    expect(page.get_by_role("button", name="Restart …")).to_have_count(0)


@pytest.mark.usefixtures("managed")
def test_device_restart_when_the_name_is_not_typed_then_nothing_can_be_pressed(page):
    page.goto("/console/device")
    page.get_by_role("button", name="Restart …").click()
    dialog = page.get_by_role("dialog")
    button = dialog.get_by_role("button", name="Restart")
    expect(button).to_be_disabled()
    dialog.get_by_role("textbox").fill(socket.gethostname())
    expect(button).to_be_enabled()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)


@pytest.mark.usefixtures("managed")
def test_device_restart_when_the_machine_is_no_appliance_then_a_sentence(page):
    page.goto("/console/device")
    # The API of this test must not restart the machine of whoever runs it.
    page.route(
        "**/api/v1/admin/device/restart",
        lambda route: route.fulfill(status=501, json={"message": "This is no appliance"}),
    )
    page.get_by_role("button", name="Restart …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill(socket.gethostname())
    dialog.get_by_role("button", name="Restart").click()
    expect(page.get_by_role("region", name="Power")).to_contain_text("This is no appliance")
    expect(dialog).to_have_count(0)


def test_device_network_when_changed_then_warned_and_the_network_is_worked_out(page):
    sent: list[Any] = []

    def network(route: Any) -> None:
        if route.request.method == "PUT":
            sent.append(route.request.post_data_json)
        route.fulfill(json={"message": "Static Network configured successfully!", **NETWORK})

    page.route("**/api/v1/admin/device/network", network)
    page.goto("/console/device")
    page.get_by_role("button", name="Change …").click()
    page.get_by_label("IPv4 address").fill("192.0.2.130")
    page.get_by_label("Netmask").fill("255.255.255.128")
    page.get_by_role("button", name="Apply …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("You may lose the connection to this box")
    expect(dialog).to_contain_text("//192.0.2.130:")
    dialog.get_by_role("button", name="Change the network").click()
    expect(dialog).to_have_count(0)
    assert sent[0]["network"] == "192.0.2.128"
    assert sent[0]["nameserver2"] == "192.0.2.53"


def test_device_network_when_a_change_waits_then_counted_down_and_kept(page):
    states = [CHANGE]
    page.route(CHANGE_PATH, lambda route: route.fulfill(json=states[-1]))

    def confirm(route: Any) -> None:
        states.append({**CHANGE, "state": "confirmed", "inProgress": False, "secondsLeft": None})
        route.fulfill(json={"message": "Network change confirmed", "change": states[-1]})

    page.route("**/api/v1/admin/device/network/change/confirm", confirm)
    page.goto("/console/device")
    expect(page.get_by_text("The old settings come back in 2 min 51 s")).to_be_visible()
    page.get_by_role("button", name="Keep the new settings").click()
    expect(page.get_by_text("confirmed", exact=True)).to_be_visible()


def test_users_when_one_is_added_edited_and_deleted_then_the_list_follows(page):
    page.goto("/console/users")
    page.get_by_role("button", name="Add a user …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name to sign in with").fill("reader")
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_label("First name").fill("Zoë")
    dialog.get_by_role("button", name="Add", exact=True).click()
    row = page.get_by_role("table", name="Users").get_by_role("row", name="reader")
    expect(row).to_contain_text("Zoë")
    expect(row.locator(".tag")).to_have_text(["User"])
    page.get_by_role("button", name="Edit reader").click()
    dialog.get_by_label("Administrator").check()
    dialog.get_by_label("User", exact=False).first.uncheck()
    dialog.get_by_label("First name").fill("")
    dialog.get_by_role("button", name="Save").click()
    expect(row.locator(".tag")).to_have_text(["Administrator"])
    expect(row).not_to_contain_text("Zoë")
    page.get_by_role("button", name="Delete reader").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)


def test_users_when_values_are_refused_then_each_is_said_at_its_field(page):
    page.goto("/console/users")
    page.get_by_role("button", name="Add a user …").click()
    name, password = page.get_by_label("Name to sign in with"), page.get_by_label("Password")
    name.fill("<b>")
    password.fill("short")
    page.get_by_role("dialog").get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".field", has=name)).to_contain_text("Invalid Characters in Username")
    expect(page.locator(".field", has=password)).to_contain_text("at least 10 characters long")


def test_users_when_opened_then_no_hash_of_a_password_is_on_the_page(page):
    page.goto("/console/users")
    expect(page.get_by_role("table", name="Users")).to_contain_text("destneAdmin")
    assert "$2b$" not in page.content()


def test_tokens_when_one_is_made_then_shown_once_works_and_ends(page, site):
    page.goto("/console/users")
    page.get_by_role("button", name="Make a token …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("<img src=x onerror=alert(1)>")
    dialog.get_by_role("button", name="Make it").click()
    token = dialog.locator("pre").inner_text()
    request = urllib.request.Request(
        f"{site.url}/api/v1/explore/fields",
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    dialog.get_by_role("button", name="Done").click()
    table = page.get_by_role("table", name="API tokens")
    expect(table).to_contain_text("<img src=x onerror=alert(1)>")
    assert token not in page.content()
    table.get_by_role("button", name=re.compile("^End ")).click()
    dialog.get_by_role("button", name="End it").click()
    expect(page.get_by_text("No program has a token")).to_be_visible()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request, timeout=10)


def test_audit_trail_when_there_is_more_than_a_page_then_older_entries_follow(page):
    for _ in range(26):
        page.request.put("/api/v1/admin/collector/config", data={"collectorPort": "0"})
    page.goto("/console/users")
    rows = page.get_by_role("table", name="Audit trail").locator("tbody tr")
    expect(rows).to_have_count(25)
    expect(rows.first).to_contain_text("refused")
    page.get_by_role("button", name="Show older").click()
    expect(rows.nth(25)).to_be_visible()
    times = rows.locator("time").evaluate_all("all => all.map(one => one.dateTime)")
    assert times == sorted(times, reverse=True)


def test_account_when_the_password_is_changed_then_still_signed_in_and_only_the_new_one_counts(
    second,
):
    new = "An0ther-paSw0RD"
    current = second.get_by_label("Password until now")
    current.fill("wrong")
    second.get_by_label("New password", exact=True).fill(new)
    again = second.get_by_label("New password again")
    again.fill("An0ther-paSw0RE")
    change = second.get_by_role("button", name="Change the password")
    change.click()
    expect(second.locator(".field", has=again)).to_contain_text("Is not the same")
    again.fill(new)
    change.click()
    expect(second.locator(".field", has=current)).to_contain_text("Is wrong")
    current.fill(PASSWORD)
    change.click()
    expect(second.get_by_text("Your password is changed")).to_be_visible()
    assert second.request.get("/api/v1/console").ok
    second.get_by_role("button", name="Sign out").click()
    sign_in(second, "second", PASSWORD)
    expect(second.get_by_text("Name or password is wrong")).to_be_visible()
    sign_in(second, "second", new)
    expect(second.get_by_role("dialog")).to_have_count(0)


def test_second_factor_when_turned_on_then_signing_in_takes_a_code(second):
    panel = second.get_by_role("region", name="Second factor")
    password = panel.get_by_label("Password, to set it up")
    password.fill("wrong")
    panel.get_by_role("button", name="Set it up").click()
    expect(panel.locator(".field")).to_contain_text("The password is wrong")
    password.fill(PASSWORD)
    panel.get_by_role("button", name="Set it up").click()
    app = pyotp.TOTP(panel.locator("pre").inner_text())
    panel.get_by_label("Code", exact=True).fill("000000")
    panel.get_by_role("button", name="Turn it on").click()
    expect(panel.locator(".field")).to_contain_text("The code is wrong")
    panel.get_by_label("Code", exact=True).fill(app.now())
    panel.get_by_role("button", name="Turn it on").click()
    expect(panel).to_contain_text("recovery codes stand in for a lost device")
    codes = panel.locator("pre").inner_text().split()
    assert len(codes) == 8
    second.reload()
    expect(panel).to_contain_text("8 recovery codes left")
    second.context.clear_cookies()
    second.keyboard.press("r")
    sign_in(second, "second", PASSWORD, codes[0])
    expect(panel).to_contain_text("7 recovery codes left")
    panel.get_by_label("Password, to turn it off").fill("wrong")
    panel.get_by_role("button", name="Turn it off").click()
    expect(panel.locator(".field")).to_contain_text("The password is wrong")
    panel.get_by_label("Password, to turn it off").fill(PASSWORD)
    panel.get_by_role("button", name="Turn it off").click()
    expect(panel).to_contain_text("It is off")


def test_sessions_when_another_is_ended_then_it_is_signed_out(second, site):
    other = second.context.browser.new_context(base_url=site.url)
    there = other.new_page()
    there.goto("/console/about")
    sign_in(there, "second", PASSWORD)
    expect(there.get_by_role("table", name="Plugins")).to_be_visible()
    second.reload()
    sessions = second.get_by_role("table", name="Sessions").locator("tbody tr")
    expect(sessions).to_have_count(2)
    expect(sessions.filter(has_text="this one")).to_have_count(1)
    sessions.get_by_role("button", name="End the session of 127.0.0.1").click()
    second.get_by_role("dialog").get_by_role("button", name="End it").click()
    expect(sessions).to_have_count(1)
    assert there.request.get("/api/v1/console").status == 401
    other.close()


def test_session_when_it_cannot_be_ended_then_a_sentence(second, site):
    other = second.context.browser.new_context(base_url=site.url)
    assert other.request.post("/auth", headers=basic("second", PASSWORD)).ok
    second.reload()
    second.get_by_role("button", name="End the session of").click()
    other.request.get("/signout")
    dialog = second.get_by_role("dialog")
    dialog.get_by_role("button", name="End it").click()
    expect(dialog.get_by_role("alert")).to_have_text("No session found with that ID")
    other.close()


def test_user_when_an_administrator_ends_sessions_and_the_second_factor_then_recorded(page, second):
    account = "/api/v1/account"
    enrolled = second.request.post(f"{account}/totp", data={"password": PASSWORD}).json()
    code = pyotp.TOTP(enrolled["secret"]).now()
    assert second.request.put(f"{account}/totp", data={"totp": code}).ok
    page.goto("/console/users")
    page.get_by_role("button", name="Sign-in of second").click()
    dialog = page.get_by_role("dialog", name="Sign-in of second")
    dialog.get_by_role("button", name="Turn it off …").click()
    page.get_by_role("dialog", name="Turn the second factor of second off?").get_by_role(
        "button", name="Turn it off"
    ).click()
    expect(dialog).to_contain_text("It is off")
    assert second.request.get(f"{account}/totp").json()["on"] is False
    dialog.get_by_role("button", name="End the session of 127.0.0.1").click()
    page.get_by_role("dialog", name="End this session?").get_by_role(
        "button", name="End it"
    ).click()
    expect(dialog).to_contain_text("Signed in nowhere")
    assert second.request.get(account).status == 401
    dialog.get_by_role("button", name="Close").click()
    page.reload()
    audit = page.get_by_role("table", name="Audit trail")
    expect(audit.get_by_role("row", name="user second, session")).to_have_count(1)
    expect(audit).to_contain_text("/totp")


def test_about_when_opened_then_version_plugins_licences_and_documents(page):
    page.goto("/console/about")
    expect(page.get_by_role("heading", level=1)).to_contain_text(__version__)
    plugins = page.get_by_role("table", name="Plugins")
    expect(plugins.get_by_role("row", name="console")).to_contain_text("built-in")
    packages = page.get_by_role("table", name="Python packages")
    expect(packages.get_by_role("row", name="numpy")).to_contain_text("BSD-3-Clause")
    for link in page.locator("main a").all():
        assert page.request.get(link.get_attribute("href")).ok


def test_first_steps_when_exporters_send_then_each_step_of_each_is_seen(page):
    page.goto("/console/start")
    chain = page.locator(".chains > li", has_text="127.0.0.3")
    expect(chain.locator(".light.good")).to_have_text(
        ["arriving", "decoded", "templates", "stored", "in answers"], timeout=40_000
    )


def test_first_steps_when_the_browser_came_over_loopback_then_the_address_is_asked_for(page):
    page.goto("/console/start")
    page.get_by_label("Device", exact=True).select_option("MikroTik RouterOS")
    block = page.locator(".copyable pre").first
    expect(block).to_contain_text("dst-address=ADDRESS port=")
    page.get_by_label("Address of this box").fill("192.0.2.77")
    listen = page.request.get("/api/v1/health").json()["collector"]["listen"][0]
    expect(block).to_contain_text(f"dst-address=192.0.2.77 port={listen.rpartition(':')[2]} ")


@pytest.mark.parametrize(
    ("device", "line"),
    [
        ("Linux: softflowd", "-n [2001:db8::1]:"),
        ("Open vSwitch", r"targets=\"[2001:db8::1]:"),
        ("Cisco NX-OS (Nexus 9000)", "  destination 2001:db8::1\n"),
    ],
)
def test_recipe_when_the_address_is_ipv6_then_brackets_where_a_port_follows(page, device, line):
    page.goto("/console/start")
    page.get_by_label("Device", exact=True).select_option(device)
    page.get_by_label("Address of this box").fill("[2001:db8::1]")
    assert line in page.locator(".copyable pre").first.inner_text()


@pytest.mark.skipif(
    shutil.which("softflowd") is None or os.geteuid() != 0, reason="needs softflowd, as root"
)
def test_first_steps_when_softflowd_runs_as_the_recipe_says_then_its_flows_are_in_answers(
    page, tmp_path
):
    page.goto("/console/start")
    page.get_by_label("Device", exact=True).select_option("Linux: softflowd")
    page.get_by_label("Address of this box").fill("127.0.0.1")
    command = page.locator(".copyable pre").first.inner_text().splitlines()[-1]
    own_files = ["-d", "-p", f"{tmp_path}/pid", "-c", f"{tmp_path}/ctl"]
    # The browser's own requests are the traffic.
    softflowd = subprocess.Popen([*shlex.split(command.replace("eth0", "lo")), *own_files])
    try:
        chain = page.locator(".chains > li", has=page.get_by_text("127.0.0.1", exact=True))
        expect(chain.locator(".light.good")).to_have_count(5, timeout=100_000)
    finally:
        softflowd.terminate()
        softflowd.wait(10)


def test_versions_when_compared_with_the_appliances_then_the_same_names():
    labels = Path(appliance.__file__).parent / "plugins/console/static/labels.js"
    [table] = re.findall(r"const VERSIONS = \{(.*)\}", labels.read_text(encoding="utf-8"))
    names = {int(number): name for number, name in re.findall(r'(\d+): "([^"]*)"', table)}
    assert names == NAMES


def test_recipes_when_compared_with_the_manual_then_the_same_blocks():
    package = Path(appliance.__file__).parent
    recipes = (package / "plugins/console/static/recipes.js").read_text(encoding="utf-8")
    pasted = recipes.replace("\\\\", "\\").replace("${address}", "192.0.2.10")
    manual = (package / "manual/exporters.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)\n```$", manual, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 10
    for block in blocks:
        port = "4739" if " 4739" in block else "2055"
        filled = pasted.replace("${withPort(address, port)}", f"192.0.2.10:{port}")
        assert f"`{block}`" in filled.replace("${port}", port), block
