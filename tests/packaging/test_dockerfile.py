"""The labels in a Dockerfile, by the builder's rules."""

from __future__ import annotations

import io

import pytest
from dockerfile_parse import DockerfileParser

from baqup_agent.errors import ConfigError
from baqup_agent.packaging.dockerfile import labels_in

FORMS = {
    "one": ("FROM x\nLABEL a=1\n", {"a": "1"}),
    "several in one": ("FROM x\nLABEL a=1 b=\"2 3\" c='4 5'\n", {"a": "1", "b": "2 3", "c": "4 5"}),
    "continued": ("FROM x\nLABEL a=1 \\\n  b=2\n", {"a": "1", "b": "2"}),
    "lower case": ("from x\nlabel a=1\n", {"a": "1"}),
    "the later one wins": ("FROM x\nLABEL a=1\nLABEL a=2\n", {"a": "2"}),
    "old form": ("FROM x\nLABEL a some text\n", {"a": "some text"}),
    "windows": ("FROM x\r\nLABEL a=1\r\n", {"a": "1"}),
    "none": ("FROM x\nRUN true\n", {}),
    "no line break at the end": ("FROM x\nLABEL a=1", {"a": "1"}),
    "a quote in a quote": ("FROM x\nLABEL a='say \"x\"'\n", {"a": 'say "x"'}),
}

OURS_ALONE = {  # where dockerfile-parse does not follow the builder
    "escapes": ('FROM x\nLABEL a="\\$x \\\\ \\" \\n"\n', {"a": '$x \\ " \\n'}),
    "a comment inside": ("FROM x\nLABEL a=1 \\\n# no\n\n  b=2\n", {"a": "1", "b": "2"}),
    "a bare escape": ("FROM x\nLABEL a=b\\ c\n", {"a": "b c"}),
    "another escape": ('# escape=`\nFROM x\nLABEL a="`$\\" `\n b=2\n', {"a": "$\\", "b": "2"}),
    "no escape between single quotes": ("FROM x\nLABEL a='\\' b=2\n", {"a": "\\", "b": "2"}),
    "the last stage counts": ("FROM x AS one\nLABEL a=1\nFROM y\nLABEL b=2\n", {"b": "2"}),
    "a stage inherits": (
        "FROM x AS one\nLABEL a=1 b=1\nFROM --platform=linux/amd64 one\nLABEL b=2\n",
        {"a": "1", "b": "2"},
    ),
    "a heredoc is no instruction": (
        "FROM x\nRUN <<EOF\nLABEL a=1\nEOF\nLABEL b=2\n",
        {"b": "2"},
    ),
}


@pytest.mark.parametrize("name", [*FORMS, *OURS_ALONE])
def test_labels_are_read_as_the_builder_reads_them(name: str) -> None:
    """Quotes, escapes, continued lines and stages mean what they mean to the builder."""
    text, labels = {**FORMS, **OURS_ALONE}[name]

    assert labels_in(text, name="Dockerfile") == labels


@pytest.mark.parametrize("name", FORMS)
def test_a_foreign_parser_agrees(name: str) -> None:
    """Where both follow the builder they say the same."""
    text, labels = FORMS[name]
    foreign = DockerfileParser(fileobj=io.BytesIO())
    foreign.content = text

    assert foreign.labels == labels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Dockerfile has no FROM line"),
        ("LABEL a=1\n", "Dockerfile has no FROM line"),
        ("FROM x\nLABEL a='1\n", r"Dockerfile:2: LABEL has a ' without its end"),
        ("FROM x\n\nLABEL a=1 b\n", r"Dockerfile:3: LABEL has 'b', which is no NAME=VALUE"),
        ("FROM x\nARG V\nLABEL a=$V\n", r"Dockerfile:3: LABEL uses a build variable"),
        ('FROM x\nLABEL a="${V}"\n', r"Dockerfile:2: LABEL uses a build variable"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, message: str) -> None:
    """One line that a person can act on."""
    with pytest.raises(ConfigError, match=message):
        labels_in(text, name="Dockerfile")
