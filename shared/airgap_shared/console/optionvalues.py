"""Values of options and arguments: what is refused of them, whichever command they are for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typer._click.core import Command, Context, Parameter, ParameterSource
from typer._click.decorators import help_option
from typer._click.exceptions import UsageError as UsageRefused
from typer.core import TyperGroup, TyperOption
from typer.models import TyperPath

#: Options that mean something by nothing: no path, and nobody named. Neither limits anything.
_MAY_BE_EMPTY = frozenset({"--image-namespace", "--owner"})
#: Texts that name files or programs, which may be any bytes, as those of Path options may.
_NAMES_OF_FILES = frozenset({"BUNDLE", "SOURCE...", "PREFIX", "[PATTERN=]PUB", "CMD"})


def guard(command: Command, print_help: Callable[[str], None]) -> None:
    """Have every value of a command and those below it judged, and its help printed by this."""
    if command.add_help_option:
        command.add_help_option = False
        for parameter in command.params:
            if parameter.callback is None:
                parameter.callback = _judge
            if isinstance(parameter.type, TyperPath):
                # Whoever reads the file knows what it means that it cannot be read.
                parameter.type.readable = False
        help_option(["--help"])(command)
        command.params[-1].callback = _helping(print_help)
    if isinstance(command, TyperGroup):
        for below in command.commands.values():
            guard(below, print_help)


def _helping(print_help: Callable[[str], None]) -> Callable[[Context, Parameter, Any], None]:
    def show(context: Context, _parameter: Parameter, wanted: Any) -> None:  # noqa: ANN401
        if wanted and not context.resilient_parsing:
            print_help(context.get_help())
            context.exit()

    return show


def _judge(context: Context, parameter: Parameter, value: Any) -> Any:  # noqa: ANN401
    """The same value, unless it is empty or no text where it has to be one."""
    if context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE:
        for text in value if isinstance(value, list | tuple) else (value,):
            if isinstance(text, str):
                _judge_text(context, parameter, text)
    return value


def _judge_text(context: Context, parameter: Parameter, text: str) -> None:
    is_option = isinstance(parameter, TyperOption)
    name = parameter.opts[0] if is_option else str(parameter.metavar or parameter.name)
    if not text and name not in _MAY_BE_EMPTY:
        advice = "" if parameter.required else " or leave it out"
        raise UsageRefused(f"{name} is empty: give a value{advice}", context)
    if isinstance(parameter.type, TyperPath) or parameter.metavar in _NAMES_OF_FILES:
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageRefused(f"{name} is not UTF-8 text", context) from None
