"""The container image, made and run: by another user than root, on a read-only root."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import appliance
from tests.image.containers import IMAGE, Container, Podman, missing, processes

ROOT = Path(__file__).parents[2]
FLOWS = 500

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(missing()), reason=missing()),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The image as `make image` makes it, but for the compression, which takes long."""
    folder = tmp_path_factory.mktemp("image")
    command = [sys.executable, "-m", "image", folder, "--level", "1"]
    epoch = {"SOURCE_DATE_EPOCH": "1700000000"}
    made = subprocess.run(
        command,
        cwd=ROOT / "ansible",
        env=os.environ | epoch,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    archive = Path(made.stdout.strip())
    yield archive
    archive.unlink()


@pytest.fixture(scope="module")
def podman(archive, tmp_path_factory):
    """podman with the image in a store of its own."""
    podman = Podman(tmp_path_factory.mktemp("podman") / "store")
    try:
        podman.run("pull", f"docker-archive:{archive}")
        if why := podman.cannot_run():
            pytest.skip(why)
        yield podman
    finally:
        podman.close()


@pytest.fixture(scope="module")
def container(podman):
    """The image, running on an empty volume."""
    started = Container(podman, "data")
    started.wait_healthy()
    return started


def n_flows(container: Container) -> int:
    printed = container.appliance("sql", "--format", "csv", "select count(*) as n from flows")
    return int(printed.split()[-1])


def test_image_when_loaded_then_its_configuration_is_known(podman):
    (facts,) = json.loads(podman.run("image", "inspect", IMAGE))
    assert facts["RepoTags"] == [f"{IMAGE}:latest", f"{IMAGE}:{appliance.__version__}"]
    assert facts["User"] == "2055:2055"
    assert facts["Healthcheck"]["Test"] == ["CMD", "/usr/lib/netflow-appliance/probe"]
    assert facts["Config"]["Entrypoint"] == ["/usr/bin/tini", "--", "/usr/bin/appliance"]
    assert facts["Labels"]["org.opencontainers.image.version"] == appliance.__version__


def test_container_when_started_then_healthy_and_the_log_has_the_first_password(container):
    probe = container.execute("/usr/lib/netflow-appliance/probe").stdout
    assert probe.startswith(("ok: ", "degraded: "))
    password = r"^administrator destneAdmin, password \S+ "
    container.wait_until(lambda: re.search(password, container.log(), re.MULTILINE), "a password")
    log = container.log()
    assert len(re.findall(password, log, re.MULTILINE)) == 1
    assert re.search(r"^SHA-256 +([0-9A-F]{2}:){31}[0-9A-F]{2}$", log, re.MULTILINE)
    assert "Traceback" not in log


def test_container_when_running_then_not_as_root_and_it_writes_its_volume_only(container):
    done = container.execute("python3", "-c", "import os; print(os.getresuid(), os.getgroups())")
    assert done.stdout.startswith("(2055, 2055, 2055)")
    for folder in ("/tmp", "/etc/netflow-appliance", "/opt"):
        assert container.execute("python3", "-c", f"open('{folder}/x', 'w')").returncode == 1
    details = container.appliance("--version", "--verbose")
    assert f"container image netflow-appliance {appliance.__version__}" in details
    assert re.search(r"^kernels +C,\s+/opt/", details, re.MULTILINE), details


def test_container_when_flows_are_sent_then_they_are_answered(container):
    container.appliance("generate", "--to", "127.0.0.1:2055", "--flows", str(FLOWS))
    container.wait_until(lambda: n_flows(container) >= FLOWS, "all flows there")
    assert "total" in container.appliance("top", "--last", "1h")


def test_container_when_a_process_is_killed_then_it_comes_back_and_no_zombie_is_left(container):
    before = {each.pid: each.words for each in processes(container)}
    (collector,) = [pid for pid, words in before.items() if "collect" in words]
    # The loader is the collector's child, and nobody's once that is gone.
    (loader,) = [pid for pid, words in before.items() if "loader" in words]
    container.execute("python3", "-c", f"import os; os.kill({collector}, 9)")
    container.wait_until(
        lambda: not {collector, loader} & {each.pid for each in processes(container)},
        "gone with all that it had started",
    )
    container.wait_until(
        lambda: any("collect" in each.words for each in processes(container)), "there again"
    )
    container.wait_healthy()


def test_container_when_stopped_and_made_anew_then_it_ends_by_itself_and_the_data_stays(container):
    flows = n_flows(container)
    assert container.stop() == 0
    assert "everything received is in the flow log" in container.log()
    container.remove()
    again = Container(container.podman, "data")
    again.wait_healthy()
    assert n_flows(again) == flows
    assert "administrator destneAdmin" not in again.log()
    assert again.stop() == 0


def test_image_when_looked_into_then_a_bill_with_licences_of_every_part(archive):
    bill = json.loads(archive.with_suffix("").with_suffix(".cdx.json").read_text())
    parts = {part["purl"].partition("@")[0]: part for part in bill["components"]}
    assert {"pkg:pypi/numpy", "pkg:npm/preact", "pkg:deb/debian/libc6"} <= set(parts)
    assert all(part["licenses"] for part in parts.values())
    assert bill["metadata"]["component"]["version"] == appliance.__version__
    with tarfile.open(archive) as opened:
        (index,) = json.load(opened.extractfile("index.json"))["manifests"]
    assert index["annotations"]["org.opencontainers.image.ref.name"].endswith(appliance.__version__)
