"""An empty text means that a variable is not set, but for texts that may be empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from baqup_agent.config.declaration import declare
from baqup_agent.config.findings import Loaded
from baqup_agent.config.reading import read_environment
from baqup_agent.config.schema import property_of, schema_of
from baqup_agent.config.schema_loading import load, validate
from baqup_agent.config.template import environment_template
from baqup_agent.config.variables import Kind, Variable
from baqup_agent.contract import Role
from baqup_agent.runtime.configuring import read
from tests.config.generated import BASE
from tests.config.shop import ShopAgent

NAME, SECRET = "BAQUP_SOURCE_X", "BAQUP_SECRET_X"

Read = Callable[..., Loaded]


@pytest.fixture(params=["declaration", "schema"])
def judge(request: pytest.FixtureRequest) -> Read:
    """Each of the two ways in, for rows and an environment."""

    def ours(*rows: Variable, role: str | None = None, **environ: str) -> Loaded:
        declaration = declare(rows, roles=("snapshot",))
        environ = {**BASE, **environ}
        if request.param == "declaration":
            return read_environment(declaration, environ, role)
        return load(schema_of(declaration), environ, role)

    return ours


@pytest.mark.parametrize("kind", Kind)
def test_what_is_required_may_not_be_left_empty(judge: Read, kind: Kind) -> None:
    """One line that says so, of whatever kind it is."""
    name = SECRET if kind is Kind.SECRET else NAME
    row = Variable(name, kind, "of the user", required=True, choices=("a",) * (kind is Kind.ENUM))

    (problem,) = judge(row, **{name: ""}).problems
    assert problem.startswith(f"{name} is empty; set it")
    assert problem.endswith(" (description: of the user)")
    (problem,) = judge(row).problems
    assert problem.startswith(f"{name} is not set; set it")


@pytest.mark.parametrize(
    "rules",
    [{"required_for": ("snapshot",)}, {"required_if": (("BAQUP_ARTIFACT_COMPRESS", True),)}],
)
@pytest.mark.parametrize("kind", [Kind.STRING, Kind.INT])
def test_what_is_asked_for_may_not_be_left_empty(
    judge: Read, kind: Kind, rules: dict[str, Any]
) -> None:
    """A role and a condition ask as strictly."""
    loaded = judge(Variable(NAME, kind, "x", **rules), role="snapshot", **{NAME: ""})

    assert [found.variable for found in loaded.findings] == [NAME]
    assert loaded.problems[0].startswith(f"{NAME} is empty")


def test_what_another_needs_may_not_be_left_empty(judge: Read) -> None:
    """And an empty text needs nothing."""
    rows = (Variable(NAME, Kind.STRING, "x"), Variable(SECRET, Kind.SECRET, "y", needs=(NAME,)))

    assert [f.variable for f in judge(*rows, **{NAME: "", SECRET: "s"}).findings] == [NAME]
    assert judge(*rows, **{NAME: "", SECRET: ""}).findings == ()


@pytest.mark.parametrize(
    ("kind", "default", "value"),
    [
        (Kind.ARRAY, ("all",), ["all"]),
        (Kind.INT, 4, 4),
        (Kind.BOOL, False, False),
        (Kind.SIZE, "8M", "8M"),
        (Kind.HOSTNAME, "h", "h"),
        (Kind.STRING, "word", ""),
    ],
)
def test_an_empty_text_is_the_default_but_where_it_is_a_value(
    judge: Read, kind: Kind, default: Any, value: Any
) -> None:
    """Only a text without rules can be set to nothing."""
    assert judge(Variable(NAME, kind, "x", default), **{NAME: ""}).require()[NAME] == value


@pytest.mark.parametrize("rules", [{"min_length": 1}, {"pattern": "a+"}, {"choices": ("a",)}])
def test_a_text_whose_rules_an_empty_one_breaks_takes_its_default(
    judge: Read, rules: dict[str, Any]
) -> None:
    """It is not set; nobody can have meant a value that is not allowed."""
    row = Variable(NAME, Kind.STRING, "x", "a", **rules)

    assert judge(row, **{NAME: ""}).require()[NAME] == "a"


def test_an_author_may_allow_an_empty_text_that_is_required(judge: Read) -> None:
    """By its least length, 0."""
    row = Variable(NAME, Kind.STRING, "x", required=True, min_length=0)

    assert judge(row, **{NAME: ""}).require()[NAME] == ""
    assert [found.variable for found in judge(row).findings] == [NAME]
    assert "may be empty" in environment_template(declare([row]), "a")


def test_an_empty_secret_is_none(judge: Read) -> None:
    """Declared or handed on, it is not there."""
    values = judge(Variable(SECRET, Kind.SECRET, "x"), **{SECRET: "", "BAQUP_SECRET_Q": ""})

    assert not {SECRET, "BAQUP_SECRET_Q"} & values.require().keys()


def test_the_schema_says_that_it_is_not_empty() -> None:
    """To whoever judges by it alone."""
    rows = [Variable(SECRET, Kind.SECRET, "x", required=True),
            Variable(NAME, Kind.STRING, "x", required=True)]  # fmt: skip
    declaration = declare(rows)

    assert property_of(declaration.variables[NAME])["minLength"] == 1
    found = validate(schema_of(declaration), {**BASE, SECRET: "", NAME: ""})
    assert [(each.variable, each.keyword) for each in found] == [
        (SECRET, "minLength"),
        (NAME, "minLength"),
    ]
    assert all("must not be empty; give it a value" in each.message for each in found)


def test_an_untouched_template_is_refused_line_by_line() -> None:
    """What it leaves open is missing, each by its name, and it says so."""
    text = environment_template(ShopAgent.declaration(), ShopAgent.name, "snapshot")
    pairs = (line.split("=", 1) for line in text.splitlines() if line and line[0] != "#")
    environ = dict(pairs)

    loaded = read(ShopAgent, Role.SNAPSHOT, environ)
    assert {found.variable for found in loaded.findings} == set(environ)
    assert "BAQUP_SECRET_DB_PASSWORD" in environ
    assert "counts as not set" in text
    assert any(
        problem.startswith("BAQUP_JOB_ID is empty; set it to a UUID such as ")
        for problem in loaded.problems
    )


def test_words_agree_with_their_numbers(judge: Read) -> None:
    """One item, two items."""
    one = Variable(NAME, Kind.ARRAY, "x", max_items=1)
    two = Variable(NAME, Kind.ARRAY, "x", max_items=2)

    assert judge(one, **{NAME: "a,b"}).problems[0].endswith("must have at most 1 item")
    assert judge(two, **{NAME: "a,b,c"}).problems[0].endswith("must have at most 2 items")
