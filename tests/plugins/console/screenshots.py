"""`make screenshots`: the pictures of the manual and the README, from the demo.

An hour of the demo's flows is imported first, so that charts are full; then the demo goes on live.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.cli.demo import FLOWS_A_SECOND
from appliance.manual import PICTURES
from appliance.traffic.generator import Generator, demo_exporters
from appliance.traffic.generator.traffic import rhythm
from tests.collector.running import RunningCollector
from tests.plugins.console.sites import (
    CHROMIUM,
    START_SECONDS,
    Site,
    running_browser,
    wait_for_groups,
)
from tests.traffic.building import ethernet, ipv4, pcap, udp

PAGES = {
    "overview": "",
    "explore": "explore?by=application&filter=exporter+127.0.0.3+and+not+app+dns",
    "interfaces": "interfaces",
    "exporters": "exporters",
}
NAMES = ("branch router", "campus router", "border router")
SIZE = {"width": 1280, "height": 800}
HISTORY_SECONDS, TICK_SECONDS = 3700, 10
MOST_OCTETS = 1_500_000


def main() -> None:
    """Take all pictures."""
    if CHROMIUM is None:
        sys.exit("Chromium is missing: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="screenshots-") as name, running_browser() as browser:
        demo = RunningCollector(Path(name), command="demo")
        _import_history(demo)
        demo.start()
        try:
            site = Site(f"http://127.0.0.1:{demo.api_port}", lambda: demo.output)
            site.choose_password()
            context = site.signed_in(browser, SIZE, color_scheme="light")
            wait_for_groups(context, "exporter", len(NAMES))
            _name_exporters(context)
            _take_pictures(context)
        finally:
            demo.stop()
    octets = sum(picture.stat().st_size for picture in PICTURES.glob("*.png"))
    if octets > MOST_OCTETS:
        sys.exit(f"the pictures have {octets:,} octets, more than {MOST_OCTETS:,}")
    print(f"{len(PAGES)} pictures in {PICTURES}, {octets:,} octets")


def _import_history(demo: RunningCollector) -> None:
    """Put the last hour into the flow log, as if the demo had run."""
    now = int(time.time())
    start = (now - HISTORY_SECONDS) // TICK_SECONDS * TICK_SECONDS
    generator = Generator(demo_exporters(), start_ms=start * 1000)
    capture = [pcap()]
    for second in range(start, now, TICK_SECONDS):
        local = datetime.fromtimestamp(second).astimezone()
        flows = round(FLOWS_A_SECOND * TICK_SECONDS * rhythm(local.hour + local.minute / 60))
        for block in generator.datagrams(flows, second * 1000):
            for row, length in zip(block.octets, block.lengths, strict=True):
                datagram = udp(row[:length].tobytes(), 40_000 + block.exporter, demo.port)
                frame = ethernet(ipv4(datagram, source=f"127.0.0.{2 + block.exporter}"))
                capture.append(struct.pack("<IIII", second, 0, len(frame), len(frame)) + frame)
    file = demo.folder / "history.pcap"
    file.write_bytes(b"".join(capture))
    command = [sys.executable, "-m", "appliance", "-confPath", f"{demo.conf}/", "import"]
    subprocess.run([*command, "--port", str(demo.port), str(file)], check=True)


def _name_exporters(context: Any) -> None:
    """Call them what the demo calls them."""
    for exporter, name in zip(_known_exporters(context), NAMES, strict=True):
        path = f"/v1/api/device/set/by/{exporter['id']}"
        assert context.request.post(path, data={"Name": name, "Info": ""}).ok


def _known_exporters(context: Any) -> list[dict[str, Any]]:
    """Return the exporters, once the roll-ups know them: only then they can have names."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        exporters = context.request.get("/api/v1/exporters").json()["exporters"]
        if len(exporters) == len(NAMES) and all(one["id"] is not None for one in exporters):
            return exporters
        time.sleep(0.5)
    raise AssertionError("the roll-ups do not know the exporters")


def _take_pictures(context: Any) -> None:
    from playwright.sync_api import expect

    PICTURES.mkdir(exist_ok=True)
    page = context.new_page()
    # The second look is what somebody sees who works with it: all of it was read once.
    for name, place in [*PAGES.items(), *PAGES.items()]:
        page.goto(f"/console/{place}")
        page.wait_for_selector("main .panel td")
        expect(page.locator(".skeleton, [aria-busy=true]")).to_have_count(0, timeout=20_000)
        page.screenshot(path=PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
