"""README.md and the manual: every command in them is run as it stands, on a running appliance.

What a reader types is in indented blocks and between backticks. Blocks run line by line in a shell,
in a folder like that of a clone; the default ports in them lead to those of the test. Commands
between backticks must be there, with the options that are named. What cannot run here is listed
with the tests that cover it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from appliance.cli.main import group
from appliance.cli.options import Invocation
from appliance.manual import chapter_text, chapters
from appliance.settings.file import read_settings_file
from tests.collector.running import RunningCollector

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHAPTERS = {chapter.name: chapter_text(chapter.name) for chapter in chapters()}
TEXT = "\n\n".join([README, *CHAPTERS.values()])
PASSWORD = "th!s1s@paSw0RD"
BACKUPS = "/var/backups/netflow-appliance/"
IN_PLACE = "box/test_release_upgrade.py"

ELSEWHERE = {
    "git clone <this repository> netflow-appliance && cd netflow-appliance": "test_readme.py",
    "make run": "cli/test_run.py",
    "ssh -L 8443:127.0.0.1:8443 user@192.0.2.10": "cli/test_serve.py",
    "make appliance HOST=192.0.2.10 SSH_USER=admin": "box/test_playbook.py",
    "appliance run --pmacct 'mysql://reader:password@127.0.0.1/pmacct' --table acct": (
        "plugins/pmacct/engine/test_feed.py"
    ),
    "apt install ./netflow-appliance_*.deb": "box/test_package.py",
    "appliance backup /var/backups/netflow-appliance/before-13.tar.zst": IN_PLACE,
    "sed -i 's/bookworm/trixie/g' $(grep -rl bookworm /etc/apt/sources.list*)": IN_PLACE,
    "apt update": IN_PLACE,
    "apt full-upgrade": IN_PLACE,
    "reboot": IN_PLACE,
    "apt install ./netflow-appliance_*deb13*.deb": IN_PLACE,
    "apt autoremove": IN_PLACE,
    "podman pull docker-archive:$(echo dist/netflow-appliance_*.oci.tar)": "image/test_running.py",
    "podman run --detach --name netflow --network host --read-only"
    " --volume netflow:/var/lib/netflow-appliance localhost/netflow-appliance": (
        "image/test_running.py"
    ),
    "podman logs netflow": "image/test_running.py",
    "make test": "conftest.py",
    "make test-vm": "box/virtual.py",
    "make lint": "test_contract.py",
    "make bench": "benchmarks/__main__.py",
    "make soak": "collector/test_service.py",
    "make fuzz": "fuzz/test_targets.py",
    "make lock": "test_contract.py",
    "make screenshots": "plugins/console/screenshots.py",
}
"""Lines that would take the default ports, other machines or hours, and what covers them; of
`make`, that the target is there is tested here."""

OTHER_TEXT = {
    "collector:": "settings, read by a test here",
    "alerts:": "settings of a plugin, read by a test of it: tests/plugins/alerts/test_messages.py",
    "networks:": "settings of a plugin, read by a test of it: tests/plugins/names/test_networks.py",
    "anonymise:": "settings of a plugin, read by a test of it: tests/plugins/anonymise",
    "stream:": "settings of a plugin, read by a test of it: tests/plugins/stream",
    "replicate:": "settings of a plugin, read by a test of it: tests/plugins/replicate",
    "mail:": "a setting, read by a test of it: tests/test_mail.py",
    "reports:": "settings of a plugin, read by a test of it: tests/plugins/reports/test_reports.py",
    "snmp:": "settings of a plugin, read by a test of it: tests/plugins/names/test_snmp.py",
    "[project.entry-points": "the entry point of a plugin: test_examples.py",
    "from appliance import hookimpl": "the code of a plugin: test_examples.py",
}
"""What blocks begin with that are no commands."""


def blocks() -> list[list[str]]:
    """Return the indented blocks, each as its lines."""
    texts = re.findall(r"(?:^\n)((?: {4}.*\n|\n(?= {4}))+)", TEXT, re.MULTILINE)
    return [[line[4:] for line in block.splitlines()] for block in texts]


def without_comment(line: str) -> str:
    return re.sub(r"\s+#.*", "", line)


def is_text(block: list[str]) -> bool:
    return any(block[0].startswith(start) for start in OTHER_TEXT)


def command_blocks() -> list[list[str]]:
    return [block for block in blocks() if not is_text(block)]


@dataclass
class Clone:
    """A folder like that of a clone, with an appliance that is running."""

    running: RunningCollector
    environment: dict[str, str]

    @property
    def folder(self) -> Path:
        return self.running.folder

    def run(self, script: str) -> str:
        """Run lines of the shell; the first that fails ends them, and the test."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environment,
            input=f"{PASSWORD}\n",
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # curl asks for a password on its terminal, if it has one
            timeout=60,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """What `make run` leads to, with the invented exporters of `make demo`, on free ports."""
    folder = tmp_path_factory.mktemp("readme") / "netflow-appliance"
    folder.mkdir()
    running = RunningCollector(
        folder, "flow_log.segment_seconds: 1\naccounts.password_cost: 8\n", command="demo"
    )
    settings = (running.conf / "appliance.yml").read_text().replace("../data", "../var")
    (running.conf / "appliance.yml").write_text(settings)
    running.data = folder / "var"
    documented = (running.conf / "api_server.yml").read_text()
    (running.conf / "api_server.yml").write_text(f"{documented}needAuth: false\n")
    (folder / ".venv").symlink_to(Path(sys.prefix))
    made = Clone(running, environment_in(folder, running))
    made.run(".venv/bin/appliance cert --if-missing")
    os.environ["APPLIANCE_ADMIN_PASSWORD"] = PASSWORD
    try:
        running.start()
        wait_until_sealed(folder)
        yield made
    finally:
        del os.environ["APPLIANCE_ADMIN_PASSWORD"]
        running.close()


def environment_in(folder: Path, running: RunningCollector) -> dict[str, str]:
    """Return an environment with `appliance`, where curl finds the test's ports."""
    api_port = int(re.findall(r"port: (\d+)", (running.conf / "api_server.yml").read_text())[0])
    ports = {8443: running.api_port, 9999: api_port}
    lines = [f'connect-to = "127.0.0.1:{a}:127.0.0.1:{b}"' for a, b in ports.items()]
    (folder / ".curlrc").write_text("\n".join([*lines, "fail", "silent", "show-error", ""]))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "CURL_HOME": str(folder), "PATH": path}


def wait_until_sealed(folder: Path) -> None:
    for _ in range(600):
        if list((folder / "var" / "flowlog" / "flows").glob("*.parquet")):
            return
        threading.Event().wait(0.05)
    raise AssertionError("nothing is sealed")


@pytest.mark.slow
@pytest.mark.timeout(480)
@pytest.mark.skipif(not shutil.which("curl"), reason="needs Debian's curl")
def test_readme_when_its_blocks_are_run_then_every_line_works(clone: Clone) -> None:
    backups = clone.folder / "backups"
    ran, printed = 0, ""
    for block in command_blocks():
        lines = [line for line in block if without_comment(line) not in ELSEWHERE]
        stopped = [line for line in lines if line.startswith("appliance restore")]
        script = "\n".join(line for line in lines if line not in stopped)
        # The one folder that is not below the clone.
        printed += clone.run(script.replace(BACKUPS, f"{backups}/"))
        ran += len(lines) - len(stopped)
        if stopped:
            assert clone.running.stop() == 0
            (file,) = backups.iterdir()
            clone.run("\n".join(stopped).replace("FILE", str(file)))
            ran += len(stopped)
    assert ran >= 12, "the blocks of README are no longer found"
    # A table of top, a check, an answer of each API, and the token of a sign-in.
    for part in ("share", "checks, ", '"HostIP"', '"flow_count"', '"token":"eyJ'):
        assert part in printed


def questions() -> list[str]:
    """Return the commands in README's table of questions."""
    (table,) = re.findall(r"^\| question \|.*\n\|---.*\n((?:\|.*\n)+)", README, re.MULTILINE)
    return re.findall(r"`(appliance [^`]+)`", table)


def test_readme_when_its_questions_are_asked_then_each_is_answered(clone: Clone) -> None:
    assert len(questions()) == 10
    clone.run("\n".join(questions()))


def test_readme_when_read_then_short_lines_and_the_first_result_on_two_screens() -> None:
    lines = README.splitlines()
    assert max(map(len, lines)) <= 120
    assert (
        lines.index("    .venv/bin/appliance top        # who and what made the most traffic") < 50
    )
    prose = re.sub(r"(?s:```.*?```)|(?m:^(?: {4}|\||#).*$)", "\n\n", README)
    sentences = re.split(r"[.:;!?](?=\s)|\n\n|\n(?=- )", prose)
    assert [text for text in sentences if len(text.split()) > 25] == []


def test_readme_when_a_line_is_covered_elsewhere_then_line_and_test_are_there() -> None:
    lines = {without_comment(line) for block in command_blocks() for line in block}
    assert lines >= set(ELSEWHERE)
    assert all((ROOT / "tests" / path).is_file() for path in ELSEWHERE.values())


def test_readme_when_it_names_a_target_of_make_then_the_makefile_has_it() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for line in ELSEWHERE if line.startswith("make") for name in line.split()[1:2]}
    named |= set(re.findall(r"`make ([a-z-]+)", TEXT))
    assert named
    assert named <= targets


def test_readme_when_it_names_a_benchmark_then_there_is_one() -> None:
    named = set(re.findall(r"`python -m tests\.benchmarks ([a-z]+)", TEXT))
    assert named
    assert all((ROOT / "tests" / "benchmarks" / f"{name}.py").is_file() for name in named)


def test_readme_when_it_shows_settings_then_they_are_accepted(tmp_path: Path) -> None:
    block = next(block for block in blocks() if block[0] == "collector:")
    (tmp_path / "appliance.yml").write_text("\n".join(block))
    settings = read_settings_file(tmp_path).settings()
    assert settings["flow_log.retention_octets"] == 200 * 10**9


def inline_commands() -> list[str]:
    """Return the commands of the appliance between backticks, with subcommands spelled out."""
    commands = re.findall(r"`appliance ([a-z][^`]*)`", TEXT)
    (row,) = re.findall(r"`appliance user add`((?:, `[a-z-]+`)+)", TEXT)
    (more,) = re.findall(r"`appliance token create`((?:, `[a-z]+`)+)", TEXT)
    for parent, rest in (("user", row), ("token", more)):
        commands += [f"{parent} {name}" for name in re.findall(r"`([a-z-]+)`", rest)]
    return sorted(set(commands))


@pytest.mark.parametrize("text", inline_commands())
def test_readme_when_it_names_a_command_then_it_exists_with_those_options(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command: click.Command = group
    context = click.Context(group, obj=Invocation())
    words = shlex.split(text)
    while words and isinstance(command, click.Group):
        name = words.pop(0)
        subcommand = command.get_command(context, name)
        assert subcommand is not None, f"appliance {text}: there is no {name}"
        command = subcommand
    options = {name for parameter in command.params for name in parameter.opts}
    named = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert named <= {*options, "--help"}, f"appliance {text}"


def test_readme_when_it_lists_commands_then_all_of_them() -> None:
    context = click.Context(group, obj=Invocation())
    listed = {text.split()[0] for text in inline_commands()}
    assert set(group.list_commands(context)) - listed == set()
