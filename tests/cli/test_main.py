from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from appliance import __version__
from appliance.cli import CORE_COMMANDS
from appliance.cli.main import group
from appliance.cli.options import Invocation, pass_app, run_command_line
from appliance.errors import ApplianceError, SettingsError
from appliance.plugin_manager import BUILT_IN_PLUGINS
from appliance.settings.file import sample_configuration

BUILT_INS = ", ".join(name.rpartition(".")[2] for name in BUILT_IN_PLUGINS)
NO_PLUGINS = f"plugins: {{disabled: [{BUILT_INS}]}}\n"


@pytest.fixture
def folder(conf) -> str:
    return f"{conf(NO_PLUGINS)}/"


def raising(error: BaseException) -> click.Command:
    """Make a command that raises this."""

    @click.command("raises")
    def command() -> None:
        raise error

    return command


def test_help_when_asked_then_lists_every_command_of_the_table(folder, capsys):
    assert run_command_line(group, ["-confPath", folder, "--help"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for name, command in CORE_COMMANDS.items():
        assert (f"  {name} " in printed.out) is not command.hidden
        if command.hidden:
            continue
        assert command.help in printed.out


def help_with_modules(folder, chosen):
    """Print the help in a process of its own, and behind it the names of modules that an expression
    chooses of those imported."""
    program = (
        "import sys; from appliance.cli.main import main\n"
        "try: main()\n"
        f"except SystemExit: print('imported', *{chosen})"
    )
    command = [sys.executable, "-c", program, "-confPath", f"{folder}/", "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_help_when_no_other_plugin_is_installed_then_none_is_imported(conf):
    folder = conf("plugins: {disabled: [reports]}")
    printed = help_with_modules(folder, "(n for n in sys.modules if 'plugins.' in n)")
    assert printed.endswith("\nimported\n")
    assert "  alerts " in printed
    assert "  report " not in printed


@pytest.mark.parametrize(
    "text",
    [
        "plugins:\n  disabled: [reports]\n",
        "plugins:\n  disabled:\n    - reports\n",
        "plugins.disabled: reports\n",
        "{plugins: {'disabled': [reports]}, web.listen: '#'}\n",
        "# disabled: []\nplugins: {disabled: [reports]} # disabled: []\n",
        'plugins: {"dis\\x61bled": [reports]}\n',
        '{log_file: "a\n  #b", plugins.disabled: reports}\n',
        "{log_file: 'a''\n  #b', plugins.disabled: reports}\n",
        '{timezone: U"TC, log_file: "a\n  #b", plugins.disabled: reports}\n',
        "# x\rplugins: {disabled: [reports]}\n",
        "# x\u2028plugins: {disabled: [reports]}\n",
    ],
)
def test_help_when_a_plugin_is_disabled_then_without_its_commands(conf, capsys, text):
    assert run_command_line(group, ["-confPath", f"{conf(text)}/", "--help"]) == 0
    assert "  report " not in capsys.readouterr().out


def test_help_when_the_file_disables_nothing_then_it_is_not_read(conf):
    folder = conf(sample_configuration())
    printed = help_with_modules(folder, "sys.modules.keys() & {'yaml', 'secrets'}")
    assert printed.endswith("\nimported\n")
    assert "  report " in printed


def test_completion_when_asked_then_names_and_lines_of_the_tables(folder):
    context = click.Context(group, obj=Invocation())
    context.obj.conf_path = Path(folder)
    items = {item.value: item.help for item in group.shell_complete(context, "s")}
    assert items == {name: CORE_COMMANDS[name].help for name in ("serve", "series", "sql")}
    assert "--version" in {item.value for item in group.shell_complete(context, "--")}


def test_command_when_its_built_in_module_is_broken_then_one_sentence(conf, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "appliance.plugins.auth.commands", None)
    assert run_command_line(group, ["-confPath", f"{conf('')}/", "token"]) == 2
    problem = capsys.readouterr().err
    assert problem.startswith("appliance: plugin auth: appliance.plugins.auth.commands cannot be")


def test_help_of_every_command_when_asked_then_no_option_twice(conf, capsys):
    folder = f"{conf('')}/"
    assert run_command_line(group, ["--conf-path", folder, "--help"]) == 0
    sections = capsys.readouterr().out.partition("Commands:")[2]
    names = re.findall(r"^  ([a-z][a-z-]*) ", sections, re.MULTILINE)
    assert {"top", "alerts", "report"} <= set(names)
    for name in names:
        # Of an option that is there twice click warns, which a person would see too.
        assert run_command_line(group, ["--conf-path", folder, name, "--help"]) == 0
        assert "Usage: " in capsys.readouterr().out


def test_help_when_plugins_cannot_be_loaded_then_still_there_with_one_sentence(conf, capsys):
    folder = conf("plugins: {disabled: [no_such]}\n")
    assert run_command_line(group, ["-confPath", f"{folder}/", "--help"]) == 0
    printed = capsys.readouterr()
    assert "check" in printed.out
    assert printed.err.startswith("appliance: ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["plugins"]])
def test_command_line_when_light_command_then_no_heavy_library(conf, arguments):
    folder = f"{conf('')}/"
    code = (
        "import sys; from appliance.cli.main import group;"
        "from appliance.cli.options import run_command_line;"
        f"run_command_line(group, ['-confPath', {folder!r}, *{arguments!r}]);"
        "print('heavy:', sorted({'pyarrow', 'duckdb'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.endswith("heavy: []\n")


@pytest.mark.parametrize(
    ("module", "heavy"),
    [("appliance.cli.run", "[]"), ("appliance.collector.service", "['pyarrow']")],
    ids=["run", "collector"],
)
def test_process_when_it_runs_for_days_then_no_library_that_it_does_not_need(module, heavy, conf):
    """Each holds tens of megabytes for as long as the appliance runs."""
    code = (
        f"import sys, {module}; from appliance.app import open_app; from pathlib import Path;"
        f"open_app(Path({str(conf(''))!r}));"
        "print('heavy:', sorted({'pyarrow', 'duckdb'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.endswith(f"heavy: {heavy}\n")


def test_command_when_none_is_named_then_the_help_with_its_lines(capsys):
    assert run_command_line(group, []) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Usage: ")
    assert "Commands:" in lines


def test_version_when_asked_then_printed(capsys):
    assert run_command_line(group, ["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_conf_path_when_without_final_slash_then_error_says_so(folder, capsys):
    assert run_command_line(group, ["-confPath", folder.rstrip("/"), "plugins"]) == 2
    error = capsys.readouterr().err
    assert (
        error == f"appliance: -confPath {folder[:-1]}: the folder must end in a slash: {folder}\n"
    )


@pytest.mark.parametrize("option", ["-confPath", "--conf-path"])
def test_conf_path_when_before_or_after_the_command_then_both_work(folder, option, capsys):
    assert run_command_line(group, [option, folder, "plugins"]) == 0
    assert f"disabled: {BUILT_INS}" in capsys.readouterr().out.replace("\n", " ")
    assert run_command_line(group, ["plugins", option, folder]) == 0
    assert f"disabled: {BUILT_INS}" in capsys.readouterr().out.replace("\n", " ")


def test_conf_path_when_folder_has_no_file_then_one_sentence(tmp_path, capsys):
    assert run_command_line(group, ["-confPath", f"{tmp_path}/", "plugins"]) == 2
    assert capsys.readouterr().err == f"appliance: {tmp_path}/appliance.yml: file not found\n"


def test_command_when_misspelt_then_nearest(folder, capsys):
    assert run_command_line(group, ["-confPath", folder, "chekc"]) == 2
    error = capsys.readouterr().err
    assert (
        error == "appliance: no such command: chekc, did you mean check? (see appliance --help)\n"
    )


def test_option_when_unknown_then_one_sentence(folder, capsys):
    assert run_command_line(group, ["-confPath", folder, "plugins", "--jsno"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("appliance: no such option")
    assert error.endswith("(see appliance plugins --help)\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (ApplianceError("no luck"), 1, "appliance: no luck\n"),
        (SettingsError("is odd", key="a.b"), 2, "appliance: a.b: is odd\n"),
        (click.ClickException("Bad thing."), 1, "appliance: bad thing\n"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x"),
            1,
            "appliance: /x: permission denied\n",
        ),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
    ],
)
def test_command_line_when_a_command_fails_then_one_sentence_and_code(
    error, code, sentence, capsys
):
    assert run_command_line(raising(error), []) == code
    assert capsys.readouterr().err.lstrip() == sentence


def test_command_line_when_there_is_a_bug_then_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command_line(raising(ZeroDivisionError()), [])
    with pytest.raises(OSError, match="odd"):
        run_command_line(raising(OSError("odd")), [])


def test_command_line_when_a_command_returns_a_number_then_exit_code():
    assert run_command_line(click.Command("seven", callback=lambda: 7), []) == 7
    assert run_command_line(click.Command("none", callback=lambda: "text"), []) == 0


def test_command_line_when_reader_is_gone_then_quiet(folder):
    code = (
        "import sys; sys.argv = ['appliance', 'check', '-confPath', sys.argv[1], '--sample'];"
        "from appliance.cli.main import main; main()"
    )
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", code, folder]
    with os.fdopen(writer, "wb") as closed:
        ran = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert ran.stderr == b""
    assert ran.returncode in (1, 141)


def test_pass_app_when_outside_the_group_then_says_so():
    command = click.Command("lost", callback=pass_app(lambda app: None))
    with pytest.raises(RuntimeError, match="outside"):
        run_command_line(command, [])


def test_invocation_when_app_is_asked_twice_then_built_once(folder):
    invocation = Invocation()
    invocation.conf_path = Path(folder)
    assert invocation.app is invocation.app


def test_module_when_run_then_same_as_the_command(folder):
    command = [sys.executable, "-m", "appliance", "-confPath", folder, "plugins", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
