"""The public names of the package, with signatures and docstrings, as Markdown."""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from types import FunctionType
from typing import Any

#: The public packages, in the order in which an author meets them.
PACKAGES = (
    "baqup_agent",
    "baqup_agent.errors",
    "baqup_agent.config",
    "baqup_agent.testing",
    "baqup_agent.controller",
    "baqup_agent.packaging",
)

_HEADINGS = ("Args:", "Attributes:", "Returns:", "Raises:", "Yields:")
_STARS = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}
_SECTION = re.compile(rf"^(?={'|'.join(_HEADINGS)})", re.MULTILINE)


def public_names() -> Iterator[str]:
    """Yield a heading for each package, and then its names."""
    for package in PACKAGES:
        module = import_module(package)
        yield f"### `{package}`"
        yield documentation(module)
        for name in _names(module):
            yield from _told(name, getattr(module, name))


def _names(module: Any) -> list[str]:
    named: list[str] = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    return [name for name in named if not name.startswith("__")]


def _told(name: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        yield f"#### `{name}{_class_signature(value)}`"
        yield documentation(value)
        yield from _members(value)
    elif inspect.isroutine(value):
        yield f"#### `{name}{_signature(value)}`"
        yield documentation(value)
    else:
        yield f"#### `{name}`"
        yield f"A `{type(value).__name__}`."


def _members(cls: type) -> Iterator[str]:
    if issubclass(cls, enum.Enum):
        yield ", ".join(f"`{member.name}` ({member.value})" for member in cls)
        return
    for name, member in vars(cls).items():
        if name.startswith("_"):
            continue
        plain = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if isinstance(plain, property) and plain.__doc__:
            yield f"- `{name}`: {documentation(plain, '  ')}"
        elif isinstance(plain, FunctionType) and plain.__doc__:
            yield f"- `{name}{_signature(plain)}`: {documentation(plain, '  ')}"


def _class_signature(cls: type) -> str:
    if issubclass(cls, enum.Enum) or "__init__" not in vars(cls):
        return ""
    return _signature(vars(cls)["__init__"]).removesuffix(" -> None")


def _signature(function: Any) -> str:
    """The parameters and what is returned; a default that has no short form is ``…``."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return "(…)"
    words: list[str] = []
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    for number, parameter in enumerate(signature.parameters.values()):
        if number == 0 and parameter.name in ("self", "cls"):
            continue
        keyword = parameter.kind is inspect.Parameter.KEYWORD_ONLY
        if keyword and "*" not in words and inspect.Parameter.VAR_POSITIONAL not in kinds:
            words.append("*")
        words.append(_parameter(parameter))
    returned = _annotation(signature.return_annotation)
    return f"({', '.join(words)})" + (f" -> {returned}" if returned else "")


def _parameter(parameter: inspect.Parameter) -> str:
    star = _STARS.get(parameter.kind.name, "")
    annotation = _annotation(parameter.annotation)
    text = f"{star}{parameter.name}" + (f": {annotation}" if annotation else "")
    if parameter.default is inspect.Parameter.empty:
        return text
    return f"{text} = {_default(parameter.default)}"


def _default(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    simple = value is None or isinstance(value, str | int | float | bool) or value == ()
    return repr(value) if simple else "…"


def _annotation(annotation: Any) -> str:
    return annotation.strip("'\"") if isinstance(annotation, str) else ""


def documentation(value: Any, indent: str = "") -> str:
    """The docstring as Markdown: Google's sections become lists."""
    text = inspect.cleandoc(value.__doc__ or "").replace("``", "`")
    lines = [line for part in _SECTION.split(text) for line in _section(part)]
    return "\n".join(f"{indent}{line}".rstrip() for line in lines).strip()


def _section(part: str) -> list[str]:
    heading, _, body = part.partition("\n")
    if heading not in _HEADINGS:
        return part.strip("\n").split("\n")
    lines = inspect.cleandoc("\n" + body).split("\n")
    if heading not in ("Returns:", "Yields:"):
        lines = [f"  {line.strip()}" if line.startswith(" ") else f"- {line}" for line in lines]
    return ["", f"*{heading}*", "", *lines, ""]
