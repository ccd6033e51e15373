"""One box for all tests of this folder, in the order in which an operator would do things to it.

The tests need root, and programs that make and boot a system; where they are missing, all are
skipped with the reason.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.box import virtual
from tests.box.container import Container
from tests.box.deployment import PASSWORD_FILE, Deployment, built_bundle, program
from tests.box.machine import Machine
from tests.box.networks import Networks
from tests.box.packaging import built_package
from tests.box.processes import IN_VIRTUAL_MACHINE, attempt, run
from tests.box.releases import Release, UnknownRelease, chosen_release
from tests.box.tree import SOURCES, bare_archive, unpack
from tests.box.virtual import TapNetworks, VirtualMachine

FOLDER = Path(__file__).parent
# The first four have machines of their own, and are done with them before the other one is started.
WITHOUT_ANSIBLE = ("package", "other_release", "release_upgrade")
ORDER = (
    *(*WITHOUT_ANSIBLE, "clickhouse"),
    *("playbook", "protections", "web", "flows", "collector", "supervision", "network", "reboot"),
    *("upgrade", "backup", "power_off", "rebuilt", "vagrant"),
)
PROGRAMS = (
    *("mmdebstrap", "systemd-nspawn", "slirp4netns", "softflowd", "curl", "ssh", "nsenter"),
    *("dnsmasq", "make", "tcpdump"),
)
TEST_SECONDS = 7200 if IN_VIRTUAL_MACHINE else 1200
VAGRANT_SECONDS = 4 * 3600
LONG_MARKS = {
    "vagrant": (("vagrant",), "takes long: `make test-vagrant` runs it"),
    "release_upgrade": (("box", "release_upgrade"), "fetches a whole Debian: see `make test-box`"),
}
"""Marks of tests that run only where a run is for one of these marks, and why."""


def missing(*, ansible: bool = True) -> str:
    """Return why a box cannot be made here, with Ansible or without; empty when it can."""
    if os.geteuid() != 0:
        return "a box is made by root only: run the tests as root, as in `sudo make test`"
    needed = (*PROGRAMS, "qemu-system-x86_64", "qemu-img") if IN_VIRTUAL_MACHINE else PROGRAMS
    absent = [name for name in needed if shutil.which(name) is None]
    if ansible:
        absent += [name for name in ("ansible-playbook", "ansible-lint") if not program(name)]
    if absent:
        return f"not installed: {', '.join(absent)} (`make test` does that on Debian)"
    if not SOURCES.is_file():
        return f"there is no {SOURCES}: expected Debian, whose packages the box is made of"
    if attempt(["unshare", "--net", "--mount", "--pid", "--fork", "true"]).returncode:
        return "the kernel makes no namespaces here, not even for root: no container can run"
    return ""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of this folder and put them in order.

    Raises
    ------
    pytest.UsageError
        The release of the boxes is none of those that become one.
    """
    try:
        chosen_release()
    except UnknownRelease as error:
        raise pytest.UsageError(str(error)) from None
    reason, reason_of_package = missing(), missing(ansible=False)
    ours = [item for item in items if item.path.parent == FOLDER]
    for item in ours:
        is_vagrant = item.get_closest_marker("vagrant") is not None
        for mark, (expressions, long) in LONG_MARKS.items():
            if item.get_closest_marker(mark) and config.getoption("markexpr") not in expressions:
                item.add_marker(pytest.mark.skip(reason=long))
        if not is_vagrant:
            item.add_marker(pytest.mark.box)
        item.add_marker(pytest.mark.timeout(VAGRANT_SECONDS if is_vagrant else TEST_SECONDS))
        is_package = item.path.stem.removeprefix("test_") in WITHOUT_ANSIBLE
        if why := reason_of_package if is_package else reason:
            item.add_marker(pytest.mark.skip(reason=why))
    places = [place for place, item in enumerate(items) if item.path.parent == FOLDER]
    ordered = sorted(ours, key=lambda item: ORDER.index(item.path.stem.removeprefix("test_")))
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


@dataclass(frozen=True)
class Workplace:
    """Where boxes are made, and what they are made of; `cache` outlives the tests."""

    folder: Path
    cache: Path
    release: Release
    archive: Path
    networks: Networks
    key: Path
    bundle: Path

    def of_release(self, release: Release, more: Sequence[str] = ()) -> Workplace:
        """Return a place for boxes of another release, with more of Debian's packages in each."""
        return replace(self, release=release, archive=bare_archive(self.cache, release, more))

    def machine(self, name: str) -> Machine:
        """Return a bare machine, not started.

        It finds the packages that an earlier one fetched in its cache.
        """
        folder = self.folder / name
        unpack(self.archive, folder / "root", self.key.with_suffix(".pub").read_text())
        archives = "root/var/cache/apt/archives"
        for package in self.folder.glob(f"*/{archives}/*.deb"):
            if not (folder / archives / package.name).exists():
                shutil.copy(package, folder / archives)
        kind = VirtualMachine if IN_VIRTUAL_MACHINE else Container
        return kind(folder, self.networks, self.key)


@pytest.fixture(scope="session")
def workplace(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Workplace]:
    """The networks, a bare Debian and the bundle of this project."""
    folder = tmp_path_factory.mktemp("box")
    kept = getattr(request.config, "cache", None)
    cache = Path(kept.mkdir("box")) if kept is not None else folder
    release = chosen_release()
    archive = bare_archive(cache, release, virtual.PACKAGES if IN_VIRTUAL_MACHINE else ())
    key = folder / "key"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
    networks = (TapNetworks if IN_VIRTUAL_MACHINE else Networks)(folder)
    try:
        networks.start()
        bundle = built_bundle(folder, release)
        yield Workplace(folder, cache, release, archive, networks, key, bundle)
    finally:
        networks.stop()
        for console in folder.glob("*/console.log"):
            shutil.rmtree(console.parent, ignore_errors=True)


@pytest.fixture(scope="session")
def bundle_of(workplace: Workplace) -> Callable[[Release], Path]:
    """Return a function that makes the bundle for a release, once."""

    @functools.cache
    def bundle_of(release: Release) -> Path:
        is_chosen = release == workplace.release
        return workplace.bundle if is_chosen else built_bundle(workplace.folder, release)

    return bundle_of


@pytest.fixture(scope="session")
def package_of(
    workplace: Workplace, bundle_of: Callable[[Release], Path]
) -> Callable[[Release], Path]:
    """Return a function that makes the Debian package for a release, once."""

    @functools.cache
    def package_of(release: Release) -> Path:
        folder = workplace.folder / release.name
        return built_package(folder, workplace.cache, release, bundle_of(release))

    return package_of


@pytest.fixture(scope="session")
def machine(workplace: Workplace) -> Iterator[Machine]:
    """A bare Debian that is running."""
    made = workplace.machine("appliance")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def deployment(workplace: Workplace, machine: Machine) -> Deployment:
    """What runs playbooks against the machine; nothing is installed by it yet."""
    variables = {"appliance_bundle": str(workplace.bundle)}
    return Deployment(machine, workplace.folder, variables)


@pytest.fixture(scope="session")
def box(deployment: Deployment) -> Deployment:
    """The machine as an appliance."""
    if deployment.machine.attempt("test -e /opt/netflow-appliance/current").returncode:
        deployment.converge()
    return deployment


@dataclass(frozen=True)
class KeptBackup:
    """A backup of the box, outside of it, and what the box knew when it was made."""

    on_box: str
    file: Path
    password: str
    talkers: object


@pytest.fixture(scope="session")
def kept_backup(box: Deployment, workplace: Workplace) -> KeptBackup:
    """Make a backup as an operator does, and take it away from the box."""
    on_box = "/var/tmp/kept.tar.zst"
    password = box.machine.run(f"cat {PASSWORD_FILE}").strip()
    talkers = box.ask("/api/v1/netflow/getIngressTopTalkers", box.sign_in())
    box.machine.run(f"appliance backup {on_box}")
    file = workplace.folder / "kept.tar.zst"
    box.machine.fetch(on_box, file)
    return KeptBackup(on_box, file, password, talkers)


@pytest.fixture(scope="module")
def rebuilt(workplace: Workplace, box: Deployment, kept_backup: KeptBackup) -> Iterator[Deployment]:
    """Another bare machine, in the place of the first one."""
    box.machine.stop()
    made = workplace.machine("rebuilt")
    try:
        made.start()
        yield Deployment(made, workplace.folder, box.variables)
    finally:
        made.stop()
