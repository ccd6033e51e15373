"""What is installed on a box and how: the bundle, the playbook of the production, and a sign-in."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.box.machine import Machine
from tests.box.networks import MANAGEMENT_BOX
from tests.box.processes import IN_VIRTUAL_MACHINE, attempt, run
from tests.box.releases import Release
from tests.box.tree import USER

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = ROOT / "ansible"
PLAYBOOK_SECONDS = 3600.0 if IN_VIRTUAL_MACHINE else 900.0
ADMINISTRATOR = "destneAdmin"
PASSWORD_FILE = "/etc/netflow-appliance/first-administrator.password"
HTTPS = f"https://{MANAGEMENT_BOX}:8443"
HTTP = f"http://{MANAGEMENT_BOX}:9999"
SOURCE = ("appliance", "pyproject.toml", "setup.py", "README.md", "LICENSE", "requirements.lock")

_RECAP = re.compile(r"ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)")


def program(name: str) -> str:
    """Return the path of one of Ansible's programs: that of this environment first."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else str(shutil.which(name) or "")


def built_bundle(folder: Path, release: Release, version: str = "") -> Path:
    """Make a release's bundle of this project, or of a copy that says it is another version."""
    source = ROOT
    if version:
        source = copied_source(folder / f"source-{version}")
        init = source / "appliance" / "__init__.py"
        init.write_text(
            re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', init.read_text())
        )
    command = [sys.executable, ANSIBLE / "bundle.py", folder / "dist", "--source", source]
    command += ["--python", release.python]
    return Path(run(command, PLAYBOOK_SECONDS).strip().splitlines()[-1])


def copied_source(folder: Path, *more: str) -> Path:
    """Copy what a bundle is made of, and more of this project, to a new folder; return it."""
    for name in (*SOURCE, *more):
        to = folder / name
        to.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, to)
    return folder


@dataclass(frozen=True)
class Recap:
    """How a playbook ended."""

    ok: int
    changed: int
    failed: int
    text: str

    @classmethod
    def of(cls, done: subprocess.CompletedProcess[str]) -> Recap:
        """Read it from what Ansible printed."""
        found = _RECAP.search(done.stdout)
        assert found, f"{done.stdout}{done.stderr}"
        ok, changed, unreachable, failed = map(int, found.groups())
        return cls(ok, changed, failed + unreachable, done.stdout)


class Deployment:
    """Runs the playbooks against one machine."""

    def __init__(self, machine: Machine, folder: Path, variables: dict[str, Any]) -> None:
        self.machine, self._folder, self.variables = machine, folder, variables
        self.inventory = folder / "inventory.json"
        host = {"ansible_host": MANAGEMENT_BOX, "ansible_user": USER}
        host["ansible_ssh_private_key_file"] = str(machine.key)
        self.inventory.write_text(json.dumps({"all": {"hosts": {"box": host}}}))

    def play(self, *options: str, book: str = "site.yml", **variables: Any) -> Recap:
        """Run a playbook from the tester's network."""
        given = self._folder / "variables.json"
        given.write_text(json.dumps(self.variables | variables))
        command = [program("ansible-playbook"), "-i", self.inventory, "-e", f"@{given}"]
        command += [ANSIBLE / book, *options]
        done = attempt(
            self.machine.networks.in_lan(command),
            PLAYBOOK_SECONDS,
            cwd=ANSIBLE,
            env=os.environ | environment(self._folder),
        )
        return Recap.of(done)

    def converge(self, *options: str, **variables: Any) -> Recap:
        """Run the playbook, which must succeed."""
        recap = self.play(*options, **variables)
        assert not recap.failed, recap.text
        return recap

    def send_flows(self, count: int) -> None:
        """Send invented flows from the tester's network."""
        to = f"{MANAGEMENT_BOX}:2055"
        send = [sys.executable, "-m", "appliance", "generate", "--to", to, "--flows", str(count)]
        run(self.machine.networks.in_lan(send), env=os.environ | {"PYTHONPATH": str(ROOT)})

    def n_flows(self) -> int:
        """Return how many flows its log has."""
        counted = "select count(*) as n from flows"
        return int(self.machine.run(f"appliance sql --format csv '{counted}'").split()[-1])

    def sign_in(self, user: str = ADMINISTRATOR, password: str = "") -> str:
        """Sign in and return the token."""
        password = password or self.machine.run(f"cat {PASSWORD_FILE}").strip()
        reply = self.machine.curl("-k", "-X", "POST", "-u", f"{user}:{password}", f"{HTTPS}/auth")
        token = json.loads(reply).get("token")
        assert token, reply
        return str(token)

    def ask(self, path: str, token: str = "", *options: str, base: str = HTTPS) -> Any:
        """Ask the API with a token and return what it answers."""
        headers = ["-H", f"x-apiauth: Bearer {token}"] if token else []
        return json.loads(self.machine.curl("-k", *headers, *options, f"{base}{path}"))

    def status(self, path: str, *options: str, base: str = HTTPS) -> int:
        """Return the HTTP status of a question."""
        told = ["-o", "/dev/null", "-w", "%{http_code}"]
        return int(self.machine.curl("-k", *told, *options, f"{base}{path}"))


def environment(folder: Path) -> dict[str, str]:
    """Return what keeps Ansible's own files in the scratch folder."""
    strict = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    return {
        "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_SSH_ARGS": f"{strict} -o ControlMaster=auto -o ControlPersist=30s",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "ssh"),
        "ANSIBLE_HOST_KEY_CHECKING": "False",
        "ANSIBLE_NOCOLOR": "1",
    }
