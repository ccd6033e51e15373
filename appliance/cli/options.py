"""What the subcommands share: the configuration folder, the `App`, and the last guard.

`run_command_line` is the only place that turns errors into one sentence and an exit code.
"""

from __future__ import annotations

import functools
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from appliance.errors import ApplianceError, SettingsError
from appliance.settings.location import ENVIRONMENT_VARIABLE

if TYPE_CHECKING:
    from appliance.app import App
    from appliance.settings.file import Settings

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Invocation:
    """What one call of `appliance` knows before any subcommand runs; click's `ctx.obj`."""

    def __init__(self) -> None:
        self.conf_path: Path | None = None

    @functools.cached_property
    def app(self) -> App:
        """The appliance as configured, built when it is first asked for.

        Raises
        ------
        SettingsError, StartupError
            It cannot be built; the text says why.
        """
        from appliance.app import open_app

        return open_app(self.conf_path)


def pass_app(command: Callable[Concatenate[App, P], R]) -> Callable[P, R]:
    """Give a command function the configured `App` as its first argument."""

    @functools.wraps(command)
    def with_app(*args: P.args, **kwargs: P.kwargs) -> R:
        invocation = click.get_current_context().find_object(Invocation)
        if invocation is None:
            raise RuntimeError("called outside the appliance's command group")
        return command(invocation.app, *args, **kwargs)

    return with_app


def pass_part(
    part: Callable[[App], T],
) -> Callable[[Callable[Concatenate[T, P], R]], Callable[P, R]]:
    """Give a command function one part of the configured `App` as its first argument.

    Where there are several such decorators, the lowest gives the first argument.
    """

    def decorate(command: Callable[Concatenate[T, P], R]) -> Callable[P, R]:
        def with_part(app: App, /, *args: P.args, **kwargs: P.kwargs) -> R:
            return command(part(app), *args, **kwargs)

        return functools.wraps(command)(pass_app(with_part))

    return decorate


def pass_settings(command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Give a command function the effective settings as its first argument."""
    return pass_part(lambda app: app.settings)(command)


ports_option = click.option(
    "--port",
    "ports",
    multiple=True,
    type=click.IntRange(1, 65535),
    help="Only datagrams to this UDP port; may be repeated. Default: all.",
)
"""Give a command function the UDP ports that it shall look at; none: all."""


def conf_path_option(*, hidden: bool = False) -> click.Option:
    """Return the option that names the configuration folder, for the group and every command."""
    return click.Option(
        ["-confPath", "--conf-path", "conf_path"],
        metavar="DIR/",
        expose_value=False,
        is_eager=True,
        hidden=hidden,
        callback=_keep_conf_path,
        help="Folder of appliance.yml, ending in a slash. Else $APPLIANCE_CONF, ./conf/ or"
        " /etc/netflow-appliance/.",
    )


def command_hint(words: str) -> str:
    """Return what to type in another terminal to run a command on the same configuration."""
    script = Path(sys.argv[0])
    program = str(script) if script.name == "appliance" else "appliance"
    invocation = click.get_current_context().find_object(Invocation)
    folder = (invocation and invocation.conf_path) or os.environ.get(ENVIRONMENT_VARIABLE)
    if not folder:
        return f"{program} {words}"
    return f"{program} -confPath {shlex.quote(f'{Path(folder).absolute()}/')} {words}"


def run_command_line(group: click.Command, arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; nothing expected ends in a traceback."""
    try:
        outcome = group.main(list(arguments), prog_name="appliance", standalone_mode=False)
        if sys.stdout is not None:  # None where it was closed before the start
            sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        # Its message is the help.
        print(error.format_message(), file=sys.stderr)
        return EXIT_USAGE
    except click.UsageError as error:
        hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        return _report_failure(_sentence(error.format_message()) + hint, EXIT_USAGE)
    except click.ClickException as error:
        return _report_failure(_sentence(error.format_message()), error.exit_code)
    except ApplianceError as error:
        return _report_failure(str(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return _silence_output()
    except OSError as error:
        if error.filename is None:
            raise
        return _report_failure(f"{error.filename}: {_sentence(error.strerror or str(error))}", 1)
    return outcome if isinstance(outcome, int) else 0


def _keep_conf_path(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    if not value.endswith("/"):
        raise SettingsError(f"the folder must end in a slash: {value}/", key=f"-confPath {value}")
    ctx.ensure_object(Invocation).conf_path = Path(value)


def _sentence(text: str) -> str:
    """Bring somebody else's message into our form: lower case, one line, no full stop."""
    text = " ".join(text.split()).rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _report_failure(sentence: str, exit_code: int) -> int:
    # With sockets and secrets, which no command that goes well needs here.
    from appliance.processes.notification import notify_problem

    if not notify_problem(sentence):
        print(f"appliance: {sentence}", file=sys.stderr)
    return exit_code


def _silence_output() -> int:
    """Keep Python from complaining about the pipe once more when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_BROKEN_PIPE
