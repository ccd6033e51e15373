"""The life of the machines of vagrant/: validate, up, provision, reload, flows, destroy.

libvirt runs in namespaces of its own, with its configuration and state in a scratch folder; nothing
of this machine's is touched. Run by `make test-vagrant` only: it takes long.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.box import virtual
from tests.box.deployment import ADMINISTRATOR, PASSWORD_FILE, ROOT
from tests.box.processes import attempt, eventually, run, started, stopped
from tests.box.releases import chosen_release
from tests.box.tree import bare_archive, unpack
from tests.box.vagrant_box import make_box, public_key

pytestmark = pytest.mark.vagrant
UP_SECONDS = 3600.0
EXPORTER = "192.168.56.11"
PROGRAMS = ("vagrant", "libvirtd", "virtlogd", "virsh", "qemu-system-x86_64", "grub-mkimage")
QEMU = """\
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
remember_owner = 0
"""
OWN_FOLDERS = ("/etc/libvirt", "/run/libvirt", "/var/lib/libvirt")


class Libvirt:
    """libvirtd in a network and a mount namespace of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes = [started(["unshare", "--net", "--mount", "sleep", "infinity"], self.log)]

    @property
    def log(self) -> Path:
        return self.folder / "libvirt.log"

    def inside(self, command) -> list[str]:
        number = str(self._processes[0].pid)
        return ["nsenter", "--target", number, "--net", "--mount", *map(str, command)]

    def start(self) -> None:
        own = Path("/proc/self/ns/mnt").readlink()
        path = Path(f"/proc/{self._processes[0].pid}/ns/mnt")
        eventually(lambda: path.readlink() != own, "in a namespace of its own", 10)
        for name in OWN_FOLDERS:
            copy = self.folder / name[1:]
            copy.parent.mkdir(parents=True, exist_ok=True)
            if Path(name).is_dir():
                shutil.copytree(name, copy, symlinks=True, ignore_dangling_symlinks=True)
            copy.mkdir(exist_ok=True)
            Path(name).mkdir(exist_ok=True)
            run(self.inside(["mount", "--bind", copy, name]))
        (self.folder / "etc/libvirt/qemu.conf").write_text(QEMU)
        run(self.inside(["ip", "link", "set", "lo", "up"]))
        run(self.inside(["sysctl", "-qw", "net.ipv4.ip_forward=1"]))
        number = str(self._processes[0].pid)
        options = ["--configure", "--mtu=1500", "--disable-host-loopback"]
        self._processes.append(started(["slirp4netns", *options, number, "tap0"], self.log))
        for daemon in ("virtlogd", "libvirtd"):
            self._processes.append(started(self.inside([daemon]), self.log))
        ask = self.inside(["virsh", "-c", "qemu:///system", "version"])
        eventually(lambda: attempt(ask).returncode == 0, "answered by libvirtd")

    def stop(self) -> None:
        while self._processes:
            stopped(self._processes.pop(), signal.SIGTERM)


@pytest.fixture(scope="module")
def vagrant(tmp_path_factory, request):
    """Return a function that runs vagrant for the appliance of the project's Vagrantfile."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    missing += [] if public_key() else ["vagrant.pub"]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (`make test-vagrant` does that)")
    folder = tmp_path_factory.mktemp("vagrant")
    cache = Path(request.config.cache.mkdir("box"))
    archive = bare_archive(cache, chosen_release(), virtual.PACKAGES)
    unpack(archive, folder / "root", "")
    box = make_box(folder / "root", folder)
    shutil.rmtree(folder / "root")
    libvirt = Libvirt(folder)
    own = {"VAGRANT_HOME": f"{folder}/home", "VAGRANT_DOTFILE_PATH": f"{folder}/dot"}
    own |= {"APPLIANCE_VAGRANT_BOX": "appliance-test", "APPLIANCE_VAGRANT_DRIVER": "qemu"}
    own |= {"VAGRANT_DEFAULT_PROVIDER": "libvirt", "VAGRANT_CHECKPOINT_DISABLE": "1"}
    # Who enters a mount namespace is in its root folder.
    own |= {"ANSIBLE_HOST_KEY_CHECKING": "False", "VAGRANT_CWD": str(ROOT / "vagrant")}

    def run_vagrant(*words: str) -> str:
        command = libvirt.inside(["vagrant", *words, "--no-tty"])
        return run(command, UP_SECONDS, env=os.environ | own)

    run_vagrant.inside = libvirt.inside
    try:
        libvirt.start()
        run_vagrant("box", "add", "--name", "appliance-test", str(box))
        yield run_vagrant
        run_vagrant("destroy", "--force")
    finally:
        libvirt.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_vagrant_when_told_then_the_appliance_lives_its_whole_life(vagrant):
    assert "validated successfully" in vagrant("validate")
    up = vagrant("up", "appliance")
    assert up.strip().splitlines()[-1].endswith("Point the browser to https://localhost:8443/")
    ask = ["curl", "-sk", "--max-time", "60", "https://localhost:8443/v1/api/"]
    assert '"status":"ok"' in run(vagrant.inside(ask), 90)
    assert "changed=0" in vagrant("provision", "appliance")
    vagrant("reload", "appliance")
    # Its proxy answers before it does.
    serves = lambda: '"status":"ok"' in attempt(vagrant.inside(ask), 90).stdout  # noqa: E731
    eventually(serves, "served again", 600)
    vagrant("up", "exporter")
    secret = vagrant("ssh", "appliance", "-c", f"sudo cat {PASSWORD_FILE}").strip()
    eventually(lambda: EXPORTER in asked(vagrant, secret), "flows of the exporter", 300)
    vagrant("destroy", "--force")
    assert "not created" in vagrant("status", "appliance")


def asked(vagrant, secret: str) -> str:
    """Sign in and ask which exporters there are."""
    curl = ["curl", "-sk", "--max-time", "60"]
    signed = ["-X", "POST", "-u", f"{ADMINISTRATOR}:{secret}", "https://localhost:8443/auth"]
    token = json.loads(run(vagrant.inside([*curl, *signed]), 90))["token"]
    told = ["-H", f"x-apiauth: Bearer {token}", "https://localhost:8443/v1/api/device/get/all"]
    return run(vagrant.inside([*curl, *told]), 90)
