"""What the name of an image may look like, as container runtimes and registries read it."""

from __future__ import annotations

import re

from baqup_agent.errors import ConfigError

#: A server, with its port: what stands before the first slash, if it looks like one.
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[+._-][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_HOST}/)?{_PART}(?:/{_PART})*)(?::{_TAG})?(?:@{_DIGEST})?", re.ASCII
)

#: Most characters of a name, without tag and digest.
_NAME_MAX = 255


def check_image(reference: str) -> None:
    """Make sure that a text can be the name of an image.

    Raises:
        ConfigError: it cannot; the message tells what one looks like.
    """
    found = _REFERENCE.fullmatch(reference)
    if found is None or len(found["name"]) > _NAME_MAX:
        raise ConfigError(
            f"{reference!r} is no name of an image; give one like registry.example/agent-x:1.0.0, "
            "in lower case and without spaces"
        )
