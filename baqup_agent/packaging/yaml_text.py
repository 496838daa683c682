"""Manifests as YAML, which needs the extra ``yaml``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from baqup_agent.errors import UsageError

#: Texts that no version of YAML takes for anything else, unless PyYAML itself quotes them.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]+( [A-Za-z0-9_./-]+)*")


class YamlMissing(UsageError):
    """PyYAML is not installed."""


def to_yaml(document: Mapping[str, Any], comments: Sequence[str] = ()) -> str:
    """Return a document as YAML below lines of comment.

    Raises:
        YamlMissing: PyYAML is not installed.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise YamlMissing(
            'YAML needs a package that is not installed; run: pip install "baqup-agent[yaml]"'
        ) from error

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  the library's signature
            return True  # anchors are for machines

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
            super().increase_indent(flow, indentless=False)

    def text_of(dumper: Dumper, text: str) -> yaml.ScalarNode:
        style = None if _PLAIN.fullmatch(text) else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, text_of)
    written = yaml.dump(
        document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100
    )  # fmt: skip
    return "".join(f"# {line}\n" for line in comments) + written
