"""The pages of administrators in a real browser, against an appliance that receives demo flows."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import appliance
from appliance import __version__
from tests.collector.running import RunningCollector, free_port

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright and Chromium")
expect = sync_api.expect

PASSWORD = "th!s1s@paSw0RD"
EXPECTED_ERRORS = re.compile(r"status of (400|401|403|404|409|501|503)")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCollector]:
    """An appliance with three invented exporters and a known administrator."""
    folder = tmp_path_factory.mktemp("pages")
    running = RunningCollector(folder, "accounts: {password_cost: 8}\n", command="demo")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("APPLIANCE_ADMIN_PASSWORD", PASSWORD)
            running.start()
        _wait_for_api(running)
        yield running
    finally:
        running.close()


@pytest.fixture
def console(demo: RunningCollector, browser: Any) -> Iterator[Any]:
    """A page of a browser in which an administrator is signed in; it must not log any error."""
    base = f"http://127.0.0.1:{demo.api_port}"
    context = browser.new_context(base_url=base)
    context.set_default_timeout(15_000)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda line: (
            problems.append(line.text)
            if line.type == "error" and not EXPECTED_ERRORS.search(line.text)
            else None
        ),
    )
    page.goto("/console/collector")
    page.get_by_label("Name", exact=True).fill("destneAdmin")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Collector", level=1)).to_be_visible()
    yield page
    context.close()
    assert not problems


def test_collector_when_it_runs_then_figures_of_what_arrives(console, demo):
    expect(console.get_by_text(f"on 127.0.0.1:{demo.port}, process")).to_be_visible()
    now = console.get_by_role("region", name="Now")
    expect(now.locator(".figure", has_text="Datagrams")).to_contain_text(
        re.compile(r"[1-9][0-9.]*\u202f/s"), timeout=20_000
    )
    expect(now.locator(".figure", has_text="Kernel drops")).to_contain_text("none")


def test_collector_form_when_a_value_is_wrong_then_said_at_its_field(console):
    port = console.get_by_label("UDP port")
    port.fill("70000")
    console.get_by_role("button", name="Save").click()
    field = console.locator(".field", has=port)
    expect(field).to_contain_text("Invalid Port (1 to 65535)")
    expect(port).to_have_attribute("aria-invalid", "true")
    console.get_by_role("button", name="Discard").click()
    expect(port).not_to_have_value("70000")


def test_collector_when_another_port_is_saved_then_a_restart_listens_there(console):
    port = free_port()
    console.get_by_label("UDP port").fill(str(port))
    console.get_by_role("button", name="Save").click()
    expect(console.get_by_text("Collector parameters updated")).to_be_visible()
    expect(console.get_by_text(f"the saved configuration says 127.0.0.1:{port}")).to_be_visible()
    console.get_by_role("button", name="Start it again with that").click()
    console.get_by_role("button", name="Restart the collector").click()
    expect(console.get_by_text(f"on 127.0.0.1:{port}, process")).to_be_visible(timeout=40_000)


def test_collector_when_stopped_and_started_then_its_state_follows(console):
    console.get_by_role("button", name="Stop …").click()
    dialog = console.get_by_role("dialog")
    expect(dialog).to_contain_text("What routers send while it is stopped is lost")
    dialog.get_by_role("button", name="Stop", exact=True).click()
    expect(console.locator(".page-head .light")).to_have_text("stopped")
    expect(console.get_by_role("status").filter(has_text="failing")).to_contain_text(
        "The collector is not running"
    )
    console.get_by_role("button", name="Start", exact=True).click()
    expect(console.locator(".page-head .light")).to_have_text("running", timeout=40_000)


CHANGE = {
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


def test_device_when_opened_then_the_figures_of_this_machine(console):
    console.goto("/console/device")
    system = console.get_by_role("region", name="System")
    expect(system).to_contain_text(socket.gethostname())
    expect(console.get_by_role("region", name="Memory")).to_contain_text("GiB")
    expect(console.get_by_role("img", name=re.compile("Disk, [0-9]+.% used"))).to_be_visible()


def test_device_restart_when_the_name_is_not_typed_then_nothing_can_be_pressed(console):
    console.goto("/console/device")
    console.get_by_role("button", name="Restart …").click()
    dialog = console.get_by_role("dialog")
    button = dialog.get_by_role("button", name="Restart")
    expect(button).to_be_disabled()
    dialog.get_by_role("textbox").fill(socket.gethostname())
    expect(button).to_be_enabled()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)


def test_device_restart_when_the_machine_is_no_appliance_then_a_sentence(console):
    console.goto("/console/device")
    # The API of this test must not restart the machine of whoever runs it.
    console.route(
        "**/api/v1/admin/device/restart",
        lambda route: route.fulfill(status=501, json={"message": "This is no appliance"}),
    )
    console.get_by_role("button", name="Restart …").click()
    dialog = console.get_by_role("dialog")
    dialog.get_by_role("textbox").fill(socket.gethostname())
    dialog.get_by_role("button", name="Restart").click()
    expect(console.get_by_role("region", name="Power")).to_contain_text("This is no appliance")
    expect(dialog).to_have_count(0)


def test_device_network_when_changed_then_warned_and_the_network_is_worked_out(console):
    sent: list[Any] = []

    def network(route: Any) -> None:
        if route.request.method == "PUT":
            sent.append(route.request.post_data_json)
        route.fulfill(json={"message": "Static Network configured successfully!", **NETWORK})

    console.route("**/api/v1/admin/device/network", network)
    console.goto("/console/device")
    console.get_by_role("button", name="Change …").click()
    console.get_by_label("IPv4 address").fill("192.0.2.130")
    console.get_by_label("Netmask").fill("255.255.255.128")
    console.get_by_role("button", name="Apply …").click()
    dialog = console.get_by_role("dialog")
    expect(dialog).to_contain_text("You may lose the connection to this box")
    expect(dialog).to_contain_text("//192.0.2.130:")
    dialog.get_by_role("button", name="Change the network").click()
    expect(dialog).to_have_count(0)
    assert sent[0]["network"] == "192.0.2.128"
    assert sent[0]["nameserver2"] == "192.0.2.53"


def test_device_network_when_a_change_waits_then_counted_down_and_kept(console):
    states = [CHANGE]
    console.route(
        "**/api/v1/admin/device/network/change", lambda route: route.fulfill(json=states[-1])
    )

    def confirm(route: Any) -> None:
        states.append({**CHANGE, "state": "confirmed", "inProgress": False, "secondsLeft": None})
        route.fulfill(json={"message": "Network change confirmed", "change": states[-1]})

    console.route("**/api/v1/admin/device/network/change/confirm", confirm)
    console.goto("/console/device")
    expect(console.get_by_text("The old settings come back in 2 min 51 s")).to_be_visible()
    console.get_by_role("button", name="Keep the new settings").click()
    expect(console.get_by_text("confirmed", exact=True)).to_be_visible()


def test_users_when_one_is_added_edited_and_deleted_then_the_list_follows(console):
    console.goto("/console/users")
    console.get_by_role("button", name="Add a user …").click()
    dialog = console.get_by_role("dialog")
    dialog.get_by_label("Name to sign in with").fill("reader")
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_label("First name").fill("Zoë")
    dialog.get_by_role("button", name="Add", exact=True).click()
    row = console.get_by_role("table", name="Users").get_by_role("row", name="reader")
    expect(row).to_contain_text("Zoë")
    expect(row.locator(".tag")).to_have_text(["User"])
    console.get_by_role("button", name="Edit reader").click()
    dialog.get_by_label("Administrator").check()
    dialog.get_by_label("User", exact=False).first.uncheck()
    dialog.get_by_label("First name").fill("")
    dialog.get_by_role("button", name="Save").click()
    expect(row.locator(".tag")).to_have_text(["Administrator"])
    expect(row).not_to_contain_text("Zoë")
    console.get_by_role("button", name="Delete reader").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)


def test_users_when_values_are_refused_then_each_is_said_at_its_field(console):
    console.goto("/console/users")
    console.get_by_role("button", name="Add a user …").click()
    name, password = console.get_by_label("Name to sign in with"), console.get_by_label("Password")
    name.fill("<b>")
    password.fill("short")
    console.get_by_role("dialog").get_by_role("button", name="Add", exact=True).click()
    expect(console.locator(".field", has=name)).to_contain_text("Invalid Characters in Username")
    expect(console.locator(".field", has=password)).to_contain_text("at least 10 characters long")


def test_users_when_opened_then_no_hash_of_a_password_is_on_the_page(console):
    console.goto("/console/users")
    expect(console.get_by_role("table", name="Users")).to_contain_text("destneAdmin")
    assert "$2b$" not in console.content()


def test_tokens_when_one_is_made_then_shown_once_works_and_ends(console, demo):
    console.goto("/console/users")
    console.get_by_role("button", name="Make a token …").click()
    dialog = console.get_by_role("dialog")
    dialog.get_by_label("Name").fill("<img src=x onerror=alert(1)>")
    dialog.get_by_role("button", name="Make it").click()
    token = dialog.locator("pre").inner_text()
    request = urllib.request.Request(
        f"http://127.0.0.1:{demo.api_port}/api/v1/explore/fields",
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    dialog.get_by_role("button", name="Done").click()
    table = console.get_by_role("table", name="API tokens")
    expect(table).to_contain_text("<img src=x onerror=alert(1)>")
    assert token not in console.content()
    table.get_by_role("button", name=re.compile("^End ")).click()
    dialog.get_by_role("button", name="End it").click()
    expect(console.get_by_text("No program has a token")).to_be_visible()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request, timeout=10)


def test_audit_trail_when_there_is_more_than_a_page_then_older_entries_follow(console):
    for _ in range(26):
        console.request.put("/api/v1/admin/collector/config", data={"collectorPort": "0"})
    console.goto("/console/users")
    rows = console.get_by_role("table", name="Audit trail").locator("tbody tr")
    expect(rows).to_have_count(25)
    expect(rows.first).to_contain_text("refused")
    console.get_by_role("button", name="Show older").click()
    expect(rows.nth(25)).to_be_visible()
    times = rows.locator("time").evaluate_all("all => all.map(one => one.dateTime)")
    assert times == sorted(times, reverse=True)


def test_account_when_the_password_is_changed_then_still_signed_in_and_the_new_one_counts(console):
    new = "An0ther-paSw0RD"
    console.goto("/console/account")
    for old_password, new_password in ((PASSWORD, new), (new, PASSWORD)):
        console.get_by_label("Password until now").fill(old_password)
        console.get_by_label("New password", exact=True).fill(new_password)
        console.get_by_label("New password again").fill(new_password)
        console.get_by_role("button", name="Change the password").click()
        expect(console.get_by_label("Password until now")).to_have_value("")
    expect(console.get_by_role("heading", name="Your account")).to_be_visible()
    assert console.request.get("/api/v1/console").ok


def test_account_when_the_old_password_is_wrong_then_said_and_nothing_changes(console):
    console.goto("/console/account")
    console.get_by_label("Password until now").fill("wrong")
    console.get_by_label("New password", exact=True).fill("An0ther-paSw0RD")
    console.get_by_label("New password again").fill("An0ther-paSw0RD")
    console.get_by_role("button", name="Change the password").click()
    field = console.locator(".field", has=console.get_by_label("Password until now"))
    expect(field).to_contain_text("Is wrong")


def test_about_when_opened_then_version_plugins_licences_and_documents(console):
    console.goto("/console/about")
    expect(console.get_by_role("heading", level=1)).to_contain_text(__version__)
    plugins = console.get_by_role("table", name="Plugins")
    expect(plugins.get_by_role("row", name="console")).to_contain_text("built-in")
    packages = console.get_by_role("table", name="Python packages")
    expect(packages.get_by_role("row", name="numpy")).to_contain_text("BSD-3-Clause")
    for link in console.locator("main a").all():
        assert console.request.get(link.get_attribute("href")).ok


def test_first_steps_when_exporters_send_then_each_step_of_each_is_seen(console):
    console.goto("/console/start")
    chain = console.locator(".chains > li", has_text="127.0.0.3")
    expect(chain.locator(".light.good")).to_have_text(
        ["arriving", "decoded", "templates", "stored", "in answers"], timeout=40_000
    )


def test_first_steps_when_the_browser_came_over_loopback_then_the_address_is_asked_for(console):
    console.goto("/console/start")
    console.get_by_label("Device", exact=True).select_option("MikroTik RouterOS")
    block = console.locator(".copyable pre")
    expect(block).to_contain_text("dst-address=ADDRESS port=")
    console.get_by_label("Address of this box").fill("192.0.2.77")
    listen = console.request.get("/api/v1/health").json()["collector"]["listen"][0]
    expect(block).to_contain_text(f"dst-address=192.0.2.77 port={listen.rpartition(':')[2]} ")


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("softflowd") is None or os.geteuid() != 0, reason="needs softflowd, as root"
)
def test_first_steps_when_softflowd_runs_as_the_recipe_says_then_its_flows_are_in_answers(
    console, tmp_path
):
    console.goto("/console/start")
    console.get_by_label("Device", exact=True).select_option("Linux: softflowd")
    console.get_by_label("Address of this box").fill("127.0.0.1")
    command = console.locator(".copyable pre").inner_text().splitlines()[-1]
    own_files = ["-d", "-p", f"{tmp_path}/pid", "-c", f"{tmp_path}/ctl"]
    # The browser's own requests are the traffic.
    softflowd = subprocess.Popen([*shlex.split(command.replace("eth0", "lo")), *own_files])
    try:
        chain = console.locator(".chains > li", has=console.get_by_text("127.0.0.1", exact=True))
        expect(chain.locator(".light.good")).to_have_count(5, timeout=100_000)
    finally:
        softflowd.terminate()
        softflowd.wait(10)


def test_recipes_when_compared_with_the_manual_then_the_same_blocks():
    package = Path(appliance.__file__).parent
    recipes = (package / "plugins/console/static/recipes.js").read_text(encoding="utf-8")
    pasted = recipes.replace("\\\\", "\\").replace("${address}", "192.0.2.10")
    manual = (package / "manual/exporters.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)\n```$", manual, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 10
    for block in blocks:
        port = "4739" if " 4739" in block else "2055"
        assert f"`{block}`" in pasted.replace("${port}", port), block


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", ["collector", "device", "users", "account", "start", "about"])
def test_page_when_axe_looks_at_it_then_nothing_to_mend(console, place: str, scheme: str):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    console.emulate_media(color_scheme=scheme)
    console.goto(f"/console/{place}")
    expect(console.get_by_role("heading", level=1)).to_be_visible()
    expect(console.locator(".skeleton")).to_have_count(0)
    violations = axe.run(console).response["violations"]
    assert [
        (rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in violations
    ] == []


@pytest.mark.parametrize("place", ["collector", "device", "users", "account", "start", "about"])
def test_page_when_360_pixels_wide_then_nothing_sticks_out(console, place: str):
    console.set_viewport_size({"width": 360, "height": 800})
    console.goto(f"/console/{place}")
    expect(console.get_by_role("heading", level=1)).to_be_visible()
    expect(console.locator(".skeleton")).to_have_count(0)
    assert console.evaluate("document.documentElement.scrollWidth") == 360


def _wait_for_api(running: RunningCollector) -> None:
    url = f"http://127.0.0.1:{running.api_port}/v1/api/"
    deadline = time.monotonic() + 30
    while not _answers(url):
        assert time.monotonic() < deadline, "\n".join(running.output)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True
