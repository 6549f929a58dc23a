"""Command-line options made from the conversion settings, so that a new setting is added in one place."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, get_args, get_origin

import typer

from ..domain.errors import InvalidSettings
from ..domain.models import ModelOptions
from ..domain.settings import ConversionSettings

_NAMES = {"layouts": "--layout", "start_s": "--start", "end_s": "--end"}
_TIMES = ("start_s", "end_s")


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Gives ``command`` an option for each conversion setting; it gets those that were used as ``settings``."""
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"]
    fields = ConversionSettings.model_fields

    @functools.wraps(command)
    def wrapper(**values: Any) -> None:
        settings = {name: values.pop(name) for name in fields if name in values}
        given = {name: value for name, value in settings.items() if value not in (None, [])}
        for name in _TIMES:
            if name in given:
                given[name] = parse_time(given[name])
        command(**values, settings=given)

    generated = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=typer.Option(None, option_name(name), help=_help(name), rich_help_panel="Conversion"),
            annotation=_option_type(name),
        )
        for name in fields
    ]
    wrapper.__signature__ = inspect.Signature(own + generated)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in own + generated}
    return wrapper


def option_name(field: str) -> str:
    return _NAMES.get(field, "--" + field.replace("_", "-"))


def parse_time(text: str) -> float:
    """Seconds from ``83.5``, ``1:23.5`` or ``0:01:23.5``.

    Raises:
        InvalidSettings: it is none of these.
    """
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text.strip()):
        raise InvalidSettings(text, "it is not a time", "Write seconds (83.5) or h:mm:ss (0:01:23.5)")
    seconds = 0.0
    for part in text.strip().split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def _option_type(name: str) -> Any:
    if name in _TIMES:
        return str | None
    annotation = ConversionSettings.model_fields[name].annotation
    if get_origin(annotation) is tuple:
        return list[get_args(annotation)[0]] | None
    options = [option for option in get_args(annotation) if option is not type(None)]
    plain: Any = options[0] if options else annotation
    if isinstance(plain, type) and issubclass(plain, ModelOptions):
        plain = str
    return plain | None


def _help(name: str) -> str:
    field = ConversionSettings.model_fields[name]
    default = field.get_default()
    shown = ", ".join(default) if isinstance(default, tuple) else default
    words = (field.description or name).capitalize()
    return (
        words
        if default is None or isinstance(default, ModelOptions)
        else f"{words} [default: {shown.value if isinstance(shown, StrEnum) else shown}]"
    )
