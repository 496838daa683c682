"""Each rule at its edges, in the own checks and in the JSON Schema made of the same row."""

from __future__ import annotations

from typing import Any

import pytest

from baqup_agent.config.declaration import declare
from baqup_agent.config.reading import read_environment
from baqup_agent.config.schema import schema_of
from baqup_agent.config.schema_loading import load, validate
from baqup_agent.config.variables import Kind, Variable
from tests.config.generated import BASE

NAME = "BAQUP_SOURCE_X"

#: The rules of a variable, texts that keep them, texts that break them.
EDGES: list[tuple[Kind, dict[str, Any], list[str], list[str]]] = [
    (Kind.INT, {"minimum": 2, "maximum": 4}, ["2", "4", "+3", "03"], ["1", "5", "3.0", " 3"]),
    (Kind.INT, {}, ["0"], ["\u0663", "1_0", "0x1"]),
    (Kind.FLOAT, {"minimum": 0.5, "maximum": 2}, ["0.5", "2", "1e0"], ["0.49", "2.01", "1e999"]),
    (Kind.BOOL, {}, ["true", "false"], ["True", "1"]),
    (Kind.BOOL, {"supported": (False,)}, ["false"], ["true"]),
    (Kind.STRING, {"min_length": 2, "max_length": 3}, ["ab", "abc"], ["a", "abcd"]),
    (Kind.STRING, {"pattern": "a|ab"}, ["a", "ab"], ["abc", "xa", "a\n", "a\nb"]),
    (Kind.STRING, {"choices": ("a", "b")}, ["a"], ["c", "A", "a "]),
    (Kind.ENUM, {"choices": ("a", "b")}, ["b"], ["B", "ab"]),
    (Kind.ARRAY, {"min_items": 1, "max_items": 2}, ["a", "a,b", '["a"]'], ["[]", "a,b,c"]),
    (Kind.ARRAY, {"choices": ("a", "b")}, ["a,b", "a|b", "", "[]"], ["a,c", '["a", 1]', "[null]"]),
    (Kind.ARRAY, {"pattern": "[a-z]+"}, ["ab,c"], ["ab,C", '["a\\n"]']),
    (Kind.PATH, {}, ["/x", "x", ""], []),
    (Kind.HOSTNAME, {}, ["h", "a.b", "::1", "1.2.3.4"], ["a b", "h:1", "h/", "u@h", "h\n"]),
    (Kind.SIZE, {}, ["0", "1K", "2GiB", "auto"], ["1k", "1.5G", "1K\n", "9" * 19]),
    (Kind.DURATION, {}, ["5", "5s", "1h30m", "10ms"], ["5x", "s", "1.5s", "5s\n"]),
    (Kind.URI, {}, ["a:b", "https://h"], ["a", "1:b", "a:", "a:b c", "a:b\n"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "rules", "text", "good"),
    [
        (kind, rules, text, good)
        for kind, rules, right, wrong in EDGES
        for good, texts in ((True, right), (False, wrong))
        for text in texts
    ],
)
def test_a_rule_holds_up_to_its_edge_and_no_further(
    kind: Kind, rules: dict[str, Any], text: str, *, good: bool
) -> None:
    """Both ways say the same, and what the rule means."""
    declaration = declare([Variable(NAME, kind, "something", **rules)])
    environ = {**BASE, NAME: text}
    ours, theirs = read_environment(declaration, environ), load(schema_of(declaration), environ)

    assert (not ours.findings, not theirs.findings) == (good, good)
    assert ours.values == theirs.values
    if not good:
        assert [finding.variable for finding in ours.findings] == [NAME]
        assert ours.findings[0].keyword == theirs.findings[0].keyword


@pytest.mark.parametrize("default", [True, False])
def test_a_condition_means_the_same_with_and_without_defaults(default: bool) -> None:
    """A controller that fills in no defaults comes to the verdict of the agent, which does."""
    declaration = declare([
        Variable("BAQUP_SOURCE_TLS", Kind.BOOL, "x", default),
        Variable("BAQUP_SOURCE_CA", Kind.PATH, "y", required_if=(("BAQUP_SOURCE_TLS", True),)),
    ])  # fmt: skip

    wanted = ["BAQUP_SOURCE_CA"] if default else []
    assert [found.variable for found in read_environment(declaration, BASE).findings] == wanted
    assert [found.variable for found in validate(schema_of(declaration), BASE)] == wanted
    assert [found.variable for found in load(schema_of(declaration), BASE).findings] == wanted


def test_what_has_a_default_is_never_missed() -> None:
    """Another variable may need it: it is there, set or not."""
    declaration = declare([
        Variable("BAQUP_SOURCE_HOST", Kind.HOSTNAME, "x", needs=("BAQUP_SOURCE_PORT",)),
        Variable("BAQUP_SOURCE_PORT", Kind.INT, "y", 5432),
    ])  # fmt: skip
    environ = {**BASE, "BAQUP_SOURCE_HOST": "h"}

    assert read_environment(declaration, environ).findings == ()
    assert validate(schema_of(declaration), environ) == ()


@pytest.mark.parametrize("variable", [
    Variable(NAME, Kind.INT, "x", minimum=2),
    Variable(NAME, Kind.STRING, "x", max_length=1),
    Variable(NAME, Kind.STRING, "x", pattern="y"),
    Variable(NAME, Kind.ENUM, "x", choices=("a",)),
    Variable(NAME, Kind.BOOL, "x"),
    Variable(NAME, Kind.SIZE, "x"),
    Variable(NAME, Kind.ARRAY, "x", max_items=1),
])  # fmt: skip
def test_both_ways_use_the_same_words(variable: Variable) -> None:
    """Whoever reads the message need not know which way it came."""
    declaration = declare([variable])
    texts = {Kind.ARRAY: "1,1", Kind.INT: "1"}
    environ = {**BASE, NAME: texts.get(variable.kind, "00x")}

    ours = read_environment(declaration, environ)
    assert ours.problems == load(schema_of(declaration), environ).problems
    assert len(ours.problems) == 1
