"""Reads the code and checks it against the rules of the project that no single test can."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import appliance
from appliance import hookspecs
from appliance.cli import CORE_COMMANDS
from appliance.plugin_manager import BUILT_IN_PLUGINS, build_plugin_manager, hook_names
from appliance.registrations import gather_settings
from appliance.settings.file import CORE_SETTINGS, sample_configuration

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "appliance"
PLUGINS = PACKAGE / "plugins"
EXAMPLES = PACKAGE / "skeletons"

WITHOUT_BUILT_IN_USER = {
    "collector_started",
    "collector_stopped",
    "exporter_appeared",
}
"""Hooks that only the example plugin or tests use so far; the first built-in user takes one out."""

ALLOWED_IN_DECODING = {
    *("numpy", "appliance.decoding", "appliance.flows", "appliance.information_elements"),
    *("appliance.export_protocols", "appliance.native.library", "appliance.native.records"),
    *sys.stdlib_module_names,
}


def modules(folder: Path = PACKAGE) -> Iterator[Path]:
    return folder.rglob("*.py")


def imported(file: Path) -> set[str]:
    """Return the full name of everything that a file imports, inside functions too."""
    return imported_names(ast.parse(file.read_text()))


def imported_names(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_below(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def hook_implementations(folder: Path) -> set[str]:
    """Return the names of all functions below a folder that are marked `@hookimpl`."""
    return {
        node.name
        for file in modules(folder)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef)
        and any("hookimpl" in ast.unparse(decorator) for decorator in node.decorator_list)
    }


@pytest.mark.parametrize("hook", hook_names())
def test_hook_when_specified_then_documented_with_thread_and_moment(hook: str):
    text = getattr(hookspecs, hook).__doc__
    assert "Called " in text
    assert "thread" in text


@pytest.mark.parametrize("hook", hook_names())
def test_hook_when_specified_then_has_a_test(hook: str):
    tests = [file.read_text() for file in (ROOT / "tests").rglob("test_*.py")]
    assert any(hook in text for text in tests if "def test_hook_when" not in text)


def test_hooks_when_specified_then_built_ins_use_them_but_for_the_known_rest():
    assert set(hook_names()) - hook_implementations(PLUGINS) == WITHOUT_BUILT_IN_USER


def test_hooks_when_they_start_up_then_the_examples_show_them():
    nouns = "settings columns decoders enrichers stores loaders routes pages commands"
    assert hook_implementations(EXAMPLES) == {f"register_{noun}" for noun in nouns.split()}


def test_plugins_when_built_in_then_each_is_in_the_tuple():
    there = {
        f"appliance.plugins.{path.stem}"
        for path in PLUGINS.glob("[!_]*")
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert there == set(BUILT_IN_PLUGINS)


def test_settings_when_in_the_table_then_conf_has_each_at_its_default():
    manager = build_plugin_manager(entry_points=())
    expected = sample_configuration([*CORE_SETTINGS, *gather_settings(manager)])
    written = (ROOT / "conf" / "appliance.yml").read_text()
    assert written == expected, "write it anew: appliance check --sample > conf/appliance.yml"


def test_settings_when_in_the_table_then_explained_in_whole_sentences():
    for setting in CORE_SETTINGS:
        assert re.fullmatch(r"(?s)\S.*[a-z0-9].*(\.|\.\.\.)", setting.help), setting.name


def test_imports_when_in_the_core_then_never_of_a_plugin():
    for file in modules():
        if not file.is_relative_to(PLUGINS):
            wrong = {name for name in imported(file) if is_below(name, "appliance.plugins")}
            assert not wrong, file


def test_products_when_in_the_core_then_nobody_names_them():
    """Only its plugin speaks of nfacctd; of pmacct, the core knows the plugin and `--pmacct`."""
    known = {"known_plugins.py": 4, "app.py": 1, "cli/collecting.py": 4}
    for file in modules():
        if file.is_relative_to(PLUGINS / "pmacct"):
            continue
        text = file.read_text().lower()
        assert "nfacctd" not in text, file
        lines = sum("pmacct" in line for line in text.splitlines())
        assert lines == known.get(str(file.relative_to(PACKAGE)), 0), file


def test_imports_when_in_a_plugin_then_never_of_another_plugin():
    for file in modules(PLUGINS):
        parts = file.relative_to(PLUGINS).with_suffix("").parts
        own = f"appliance.plugins.{parts[0]}"
        names = {name for name in imported(file) if is_below(name, "appliance.plugins")}
        assert not {name for name in names if not is_below(name, own)}, file


def test_imports_when_in_an_example_then_nothing_of_the_package_but_its_public_names():
    files = [*EXAMPLES.glob("*/*.py")]
    assert files
    for file in files:
        names = {name for name in imported(file) if is_below(name, "appliance")}
        assert names <= {f"appliance.{name}" for name in appliance.__all__}, file


def test_public_names_when_listed_then_each_is_there_and_typed():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    typed = {name.rpartition(".")[2] for name in imported_names(tree)}
    assert set(appliance.__all__) <= typed
    for name in appliance.__all__:
        assert getattr(appliance, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = appliance.nothing


def test_contracts_when_read_then_nothing_is_untyped():
    for file in (*modules(PACKAGE / "contracts"), PACKAGE / "hookspecs.py"):
        names = {
            node.id for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Name)
        }
        assert "Any" not in names, file


def test_imports_when_in_decoding_then_only_numpy_columns_kernels_and_the_standard_library():
    files = list(modules(PACKAGE / "decoding"))
    assert files
    for file in files:
        wrong = {
            name
            for name in imported(file)
            if not any(is_below(name, allowed) for allowed in ALLOWED_IN_DECODING)
        }
        assert not wrong, file


def test_imports_when_cheap_modules_then_nothing_heavy_at_their_top():
    """What `appliance --help` needs starts quickly; heavy imports stay inside functions."""
    heavy = ("pyarrow", "duckdb", "rich")
    for name in (
        "app",
        "settings/file",
        "plugin_manager",
        "known_plugins",
        "hookspecs",
        "environment",
        "cli/plugins",
    ):
        tree = ast.parse((PACKAGE / f"{name}.py").read_text())
        top = ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], [])
        names = imported_names(top)
        assert not [n for n in names if any(is_below(n, package) for package in heavy)], name


@pytest.mark.parametrize("name", CORE_COMMANDS)
def test_command_when_in_the_table_then_its_module_has_it_with_that_help(name: str):
    command = importlib.import_module(CORE_COMMANDS[name].module).command
    assert command.name == name
    assert command.help.splitlines()[0] == CORE_COMMANDS[name].help


def test_modules_when_in_the_package_then_each_says_what_it_is():
    for file in modules():
        assert ast.get_docstring(ast.parse(file.read_text())), file


def test_tree_when_listed_then_top_level_is_as_designed():
    given = {"appliance", "ansible", "conf", "tests", "vagrant", "pyproject.toml", "setup.py"}
    beside = {"README.md", "CHANGELOG.md", "LICENSE", "Makefile", "requirements.lock"}
    made = {"var", "build", "dist"}
    found = {p.name for p in ROOT.iterdir() if p.name[0] != "." and p.suffix != ".egg-info"}
    assert found <= given | beside | made
