"""Checks of a collector configuration as a whole: what keeps nfacctd from starting with it.

What is wrong, or is not supported here, becomes a message of the configuration; single lines are
checked where they are applied, in `effective`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from appliance.errors import SettingsError
from appliance.plugins.pmacct.configuration.aggregates import (
    BUILT_IN,
    VARIABLE_LENGTH,
    aggregate_problem,
    primitives_without_source,
)
from appliance.plugins.pmacct.configuration.config import PluginName
from appliance.plugins.pmacct.configuration.effective import EffectiveConfig
from appliance.plugins.pmacct.configuration.keys import FILLED_PLUGINS, PRINT, PRINT_OUTPUTS
from appliance.plugins.pmacct.configuration.preprocess import unsupported_words
from appliance.plugins.pmacct.configuration.primitives import read_primitives
from appliance.plugins.pmacct.configuration.time_slots import parse_history
from appliance.plugins.pmacct.maps.pre_tag_map import read_rules


def check_config(config: EffectiveConfig) -> None:
    """Add to the messages of a configuration what is wrong with it as a whole."""
    address = config.text("nfacctd_ip")
    if address and not _is_address(address):
        config.error("'nfacctd_ip' value is not valid. Exiting.")
    file = config.file("aggregate_primitives")
    if file is not None:
        try:
            config.primitives = read_primitives(file)
        except SettingsError as error:
            config.error(f"[{file}] {error.problem}.")
        else:
            for text in config.primitives.warnings:
                config.warn(text)
    for plugin in config.plugins:
        _check_plugin(config, plugin)


def _check_plugin(config: EffectiveConfig, plugin: PluginName) -> None:
    if plugin.type not in FILLED_PLUGINS:
        config.warn(f"plugin {plugin.type}[{plugin.name}] is not offered here: not started")
        return
    if not config.text("aggregate", plugin.name):
        config.warn(f"[{config.path}] defaulting to SRC HOST aggregation.")
    names = config.aggregate(plugin.name)
    for name in names:
        if name not in BUILT_IN and config.custom(name) is None:
            config.error(f"Unknown primitive '{name}'")
    for name in dict.fromkeys(n for n in names if names.count(n) > 1):
        config.error(f"'{name}' repeated in 'aggregate'")
    (_check_output if plugin.type == PRINT else _check_table)(config, plugin, names)
    for key, text in config.selection(plugin.name).unsupported:
        config.refuse(key, text)
    _check_preprocess(config, plugin)
    _check_history(config, plugin)
    for name in primitives_without_source(names):
        config.warn(f"plugin {plugin.name}: {name} is not in NetFlow, its column stays empty")
    _check_rules(config, plugin)
    try:
        _, warnings = config.resolution(plugin.name)
    except SettingsError as error:
        config.error(f"{error.file}: {error.problem}" if error.file else error.problem)
    else:
        _warn_once(config, warnings)


def _check_table(config: EffectiveConfig, plugin: PluginName, names: tuple[str, ...]) -> None:
    version = config.number("sql_table_version", plugin.name, 1)
    if version < 1:
        config.error("invalid 'sql_table_version' value.")
    table_type = config.text("sql_table_type", plugin.name)
    own = config.flag("sql_optimize_clauses", plugin.name)
    if config.flag("nfacctd_stitching", plugin.name) and not config.flag(
        "sql_dont_try_update", plugin.name
    ):
        config.warn(
            f"( {plugin.name}/{plugin.type} ): stitching (ie. nfacctd_stitching) behaviour is"
            " undefined when sql_dont_try_update is set to false."
        )
    problem = aggregate_problem(names, version, table_type, own)
    if problem is not None:
        config.error(problem)


def _check_preprocess(config: EffectiveConfig, plugin: PluginName) -> None:
    for text in config.preprocess(plugin)[1]:
        config.warn(f"( {plugin.name}/{plugin.type} ): {text}")
    key = "print_preprocess" if plugin.type == PRINT else "sql_preprocess"
    has_backup = bool(config.text("sql_recovery_backup_host", plugin.name))
    for word in unsupported_words(config.text(key, plugin.name), has_backup):
        config.error(f"{key}: {word} changes what tables hold and is not supported: take it out")


def _check_history(config: EffectiveConfig, plugin: PluginName) -> None:
    keys = "print" if plugin.type == PRINT else "sql"
    offset = config.number(f"{keys}_history_offset", plugin.name)
    history, _ = parse_history(config.text(f"{keys}_history", plugin.name))
    if history is not None and offset >= history.seconds:
        config.error("History offset (ie. sql_history_offset) must be < history (ie. sql_history).")


def _check_output(config: EffectiveConfig, plugin: PluginName, names: tuple[str, ...]) -> None:
    output = config.text("print_output", plugin.name, PRINT_OUTPUTS[0]).lower()
    if output.endswith(PRINT_OUTPUTS[0]) and VARIABLE_LENGTH.intersection(names):
        config.error(
            "variable-length primitives, ie. label as_path std_comm etc., are not supported in"
            " print plugin with formatted output."
        )
    if output not in PRINT_OUTPUTS:
        config.warn(
            f"[{config.path}] print_output set to {output} but will produce no output"
            f" (missing --enable-{output})."
        )


def _check_rules(config: EffectiveConfig, plugin: PluginName) -> None:
    file = config.file("pre_tag_map", plugin.name)
    if file is None:
        return
    try:
        rules = read_rules(file)
    except SettingsError as error:
        config.error(f"[{file}] {error.problem}.")
        return
    for key, text in rules.unsupported:
        config.refuse(key, text)
    _warn_once(config, rules.warnings)


def _warn_once(config: EffectiveConfig, warnings: Iterable[str]) -> None:
    known = {message.text for message in config.messages}
    for text in warnings:
        if text not in known:
            config.warn(text)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
