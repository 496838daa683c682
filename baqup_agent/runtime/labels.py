"""The labels of an agent's image, and three ways to write them down (Contract §8).

The labels are derived from what the agent says of itself, so that an image cannot promise what
its agent does not do. Values hold printable characters only, and the schema is ASCII without a
single quote: between single quotes it means the same to a shell, to ``xargs`` and to a
Dockerfile, none of which then expands or unescapes anything.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from baqup_agent.contract import STOP_GRACE_S
from baqup_agent.errors import ConfigError

#: What the names of all labels begin with.
PREFIX = "io.baqup."

_AGENT_PREFIX = "agent-"


def labels_of(info: Mapping[str, Any], schema: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the labels of the agent that describes itself so.

    Args:
        info: what ``--info`` says.
        schema: the schema of its environment; without one its label is left out.

    Returns:
        The labels by name, in the contract's order.

    Raises:
        ConfigError: a member that a label is made of is missing, or not printable.
    """
    texts = {
        "agent": "true",
        "type": str(_member(info, "agent")).removeprefix(_AGENT_PREFIX),
        "version": str(_member(info, "version")),
        "roles": ",".join(map(str, _member(info, "roles"))),
        "stop_grace_seconds": str(info.get("stop_grace_seconds", STOP_GRACE_S)),
    }
    if schema is not None:
        texts["schema"] = compact(schema)
    return {PREFIX + name: _printable(PREFIX + name, text) for name, text in texts.items()}


def compact(schema: Mapping[str, Any]) -> str:
    """Return a schema as compact JSON that needs no escape between single quotes."""
    text = json.dumps(schema, separators=(",", ":"), ensure_ascii=True)
    return text.replace("'", r"\u0027")


def as_arguments(labels: Mapping[str, str]) -> str:
    """Return one line of arguments for ``docker build``, quoted for a shell and for ``xargs``."""
    return " ".join(f"--label {shlex.quote(f'{name}={text}')}" for name, text in labels.items())


def as_dockerfile(labels: Mapping[str, str]) -> str:
    """Return one ``LABEL`` line for each label."""
    return "\n".join(f"LABEL {name}={_dockerfile_word(text)}" for name, text in labels.items())


def as_json(labels: Mapping[str, str]) -> str:
    """Return one JSON object, as ``docker inspect`` shows an image's labels."""
    return json.dumps(labels, indent=2)


#: The renderings by the word that asks for them; each gives a text without a line break at its end.
FORMS: Mapping[str, Callable[[Mapping[str, str]], str]] = {
    "arguments": as_arguments,
    "dockerfile": as_dockerfile,
    "json": as_json,
}


def _member(info: Mapping[str, Any], name: str) -> Any:
    try:
        return info[name]
    except KeyError:
        raise ConfigError(
            f"the agent's --info has no {name!r}, which a label is made of (Contract §8); add it"
        ) from None


def _printable(name: str, text: str) -> str:
    # No Dockerfile can carry a line break in a label, and no reader expects another control.
    if not text.isprintable():
        raise ConfigError(f"the label {name} would be {text!r}; use printable characters only")
    return text


def _dockerfile_word(text: str) -> str:
    if "'" not in text:
        return f"'{text}'"
    for special in ("\\", '"', "$"):  # what a backslash takes the meaning from; itself first
        text = text.replace(special, f"\\{special}")
    return f'"{text}"'
