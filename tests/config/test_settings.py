# ruff: noqa: RUF009  (the calls make attrs fields, they are no defaults)
"""An author's class of settings: names, types, conditions, and mistakes in it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from baqup_agent import Agent, Job, Secret, config
from baqup_agent.config import DeclarationError, Variable
from baqup_agent.config.declaration import declare
from baqup_agent.config.findings import Loaded
from baqup_agent.config.reading import read_environment
from baqup_agent.config.records import record_of, variables_of
from baqup_agent.config.units import duration, duration_text, size_bytes
from baqup_agent.config.variables import VARIABLES, Kind
from baqup_agent.contract import Role
from baqup_agent.errors import ConfigError
from baqup_agent.job.configuration import Configuration
from baqup_agent.runtime.configuring import read
from tests.config.generated import BASE
from tests.config.shop import Mode, Shop, ShopAgent

PASSWORD = {"BAQUP_SECRET_DB_PASSWORD": "hunter2"}


def load(role: Role | None = None, **own: str) -> Loaded:
    environ = {f"BAQUP_SOURCE_{name}": text for name, text in own.items()}
    return read(ShopAgent, role, {**BASE, **PASSWORD, **environ})


def shop(**own: str) -> Shop:
    return Configuration(load(**own).require()).of(Shop)


def snapshot(self: Agent, job: Job) -> None:
    """Do nothing."""


def test_the_name_of_a_variable_follows_from_where_its_field_stands() -> None:
    """Sections make the prefix, fields the rest; secrets are secrets wherever they stand."""
    names = [variable.name for variable in variables_of(Shop)]

    assert names[:4] == [
        "BAQUP_SOURCE_HOST",
        "BAQUP_SOURCE_PORT",
        "BAQUP_SOURCE_PATH",
        "BAQUP_SOURCE_DATABASES",
    ]
    assert names[-3:] == ["BAQUP_TARGET_PATH", "BAQUP_TARGET_WORKERS", "BAQUP_SECRET_DB_PASSWORD"]


def test_defaults_are_of_the_fields_types() -> None:
    """What is unset is what the author said, as the type that the field has."""
    source = shop().source

    assert source.databases == ("all",)
    assert source.mode is Mode.FULL
    assert source.chunk == 8 * 1024 * 1024
    assert source.patience == timedelta(seconds=60)
    assert (source.tls, source.rate, source.host) == (False, None, None)


def test_values_are_of_the_fields_types(tmp_path: Path) -> None:
    """What is set is converted."""
    source = shop(
        HOST="db", PORT="5432", PATH=str(tmp_path), DATABASES="a|b", MODE="tables", TLS="true",
        CA_FILE="/ca", CHUNK="1GiB", PATIENCE="1h30m", RATE="1", HOOK="https://me:pw@h/",
    ).source  # fmt: skip

    assert (source.host, source.port, source.path) == ("db", 5432, tmp_path)
    assert (source.databases, source.mode, source.tls) == (("a", "b"), Mode.TABLES, True)
    assert (source.ca_file, source.chunk, source.rate) == (Path("/ca"), 2**30, 1.0)
    assert source.patience == timedelta(hours=1, minutes=30)


def test_a_secret_is_a_secret_and_the_object_does_not_show_it() -> None:
    """The author gets the wrapper; printing the settings is harmless."""
    made = shop()

    assert made.db_password == Secret("hunter2")
    assert "hunter2" not in repr(made)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"HOST": "db"}, "BAQUP_SOURCE_PORT is not set, and BAQUP_SOURCE_HOST, which is set"),
        ({"TLS": "true"}, "BAQUP_SOURCE_CA_FILE is not set, and BAQUP_SOURCE_TLS='true' needs it"),
        ({"MODE": "ful"}, "BAQUP_SOURCE_MODE='ful': expected one of full, tables"),
        ({"MODE": "FULL"}, "expected one of full, tables; did you mean 'full'?"),
        ({"HOOK": "ftp://h"}, "expected a URL such as https://host.example.org"),
        ({"CHUNK": "auto"}, "BAQUP_SOURCE_CHUNK='auto': expected a size"),
        ({"CHUNK": "9" * 5000}, "BAQUP_SOURCE_CHUNK='99999"),
        ({"PATIENCE": "soon"}, "expected a duration such as 90s"),
        ({"RATE": "0.1"}, "must be at least 0.5"),
        ({"LABEL": "Ab"}, "BAQUP_SOURCE_LABEL='Ab': must match [a-z|]+"),
        ({"LABEL": "a" * 9}, "must have at most 8 characters"),
        ({"HOOK": "http://me:hunter3@h"}, "BAQUP_SOURCE_HOOK (value not shown): expected a URL"),
        ({"PATH": "/nowhere/at/all"}, "BAQUP_SOURCE_PATH='/nowhere/at/all': there is no such dir"),
        ({"PATH": "\0"}, "there is no such directory"),
    ],
)
def test_a_rule_of_the_author_is_kept(own: dict[str, str], message: str) -> None:
    """One line for what is wrong, with the variable, what was given, and what is allowed."""
    (problem,) = load(**own).problems

    assert message in problem
    assert len(problem) < 300
    assert "hunter" not in problem


def test_a_path_that_leads_nowhere_is_not_handed_on() -> None:
    """Values hold only what is usable."""
    assert "BAQUP_SOURCE_PATH" not in load(PATH="/nowhere/at/all").values


def test_a_role_asks_for_its_own() -> None:
    """The path of the source is for snapshots, that of the target for restores."""
    assert load().problems == ()
    (problem,) = load(Role.SNAPSHOT).problems
    assert problem == (
        "BAQUP_SOURCE_PATH is not set, and the role snapshot needs it; "
        "set it to the path of a directory (description: directory to read)"
    )
    assert [finding.variable for finding in load(Role.RESTORE).findings] == ["BAQUP_TARGET_PATH"]


def test_a_condition_that_the_default_meets_holds_without_a_word() -> None:
    """A variable that is required if another has its default is required when that is unset."""

    @frozen
    class Record:
        tls: bool = config.flag("x", default=True)
        ca: str | None = config.text("y", required_if={"tls": True})

    agent = type("A", (Agent,), {
        "name": "agent-a", "version": "1", "settings": _in_source(Record), "snapshot": snapshot,
    })  # fmt: skip

    assert [f.variable for f in read(agent, None, BASE).findings] == ["BAQUP_SOURCE_CA"]
    assert read(agent, None, {**BASE, "BAQUP_SOURCE_TLS": "false"}).findings == ()


def _in_source(record: type) -> type:
    return attrs.make_class("Outer", {"source": config.section(record)}, frozen=True)


def test_roles_may_have_settings_of_their_own() -> None:
    """Each role has its class; what the class requires is required for the role alone."""

    @frozen
    class Read:
        source_path: Path = config.path("x")

    @frozen
    class Write:
        target_path: Path = config.path("y")

    class Both(Agent):
        name = "agent-both"
        version = "1"
        settings = {"snapshot": Read, "restore": Write}  # noqa: RUF012

        def snapshot(self, job: Job) -> None:
            """Do nothing."""

        def restore(self, job: Job) -> None:
            """Do nothing."""

    assert read(Both, None, BASE).findings == ()
    assert [f.variable for f in read(Both, Role.RESTORE, BASE).findings] == ["BAQUP_TARGET_PATH"]
    values = read(Both, Role.SNAPSHOT, {**BASE, "BAQUP_SOURCE_PATH": "/x"}).require()
    assert Configuration(values).of(Read).source_path == Path("/x")
    with pytest.raises(ConfigError, match="BAQUP_TARGET_PATH is not set"):
        Configuration(values).of(Write)


def test_what_the_class_itself_refuses_is_a_problem_of_the_configuration() -> None:
    """A validator of the author's class speaks in `--validate` already."""

    def even(_record: Any, _field: Any, value: int) -> None:
        if value % 2:
            raise ValueError("must be\neven")

    @frozen
    class Record:
        source_count: int = attrs.field(
            kw_only=True, validator=even, metadata=_metadata(config.integer("x"))
        )

    agent = type("A", (Agent,), {
        "name": "agent-a", "version": "1", "settings": Record, "snapshot": snapshot,
    })  # fmt: skip

    assert read(agent, None, {**BASE, "BAQUP_SOURCE_COUNT": "2"}).problems == ()
    loaded = read(agent, None, {**BASE, "BAQUP_SOURCE_COUNT": "3"})
    assert loaded.problems == ("Record: must be even",)
    assert loaded.findings[0].keyword == "rule"


def _metadata(made: Any) -> dict[str, Any]:
    return dict(made.metadata)


BROKEN = {
    "a path that is never None": ({"path": (Path, config.path("x", required_for="snapshot"))},
                                  "its type must admit None: Path | None"),
    "a type of another kind": ({"port": (str, config.port("x"))}, "must be annotated with int"),
    "a default with a condition": (
        {"a": (str, config.text("x", default="a", required_for="snapshot"))},
        "what has a default is never missing"),
    "a default that needs another": (
        {"a": (str, config.text("x", default="a", needs="BAQUP_SOURCE_PORT"))},
        "would always be required"),
    "a default outside of its bounds": (
        {"a": (int, config.integer("x", default=0, minimum=1))}, "breaks its own rule 'minimum'"),
    "a pattern that is none": (
        {"a": (str, config.text("x", pattern="("))}, "no regular expression"),
    "a role that the agent lacks": (
        {"a": (str | None, config.text("x", required_for="restor"))}, "has no role 'restor'"),
    "a field that is not there": (
        {"a": (str | None, config.text("x", default=None, needs="b"))}, "refers to 'b'"),
    "a variable that is not there": (
        {"a": (str | None, config.text("x", default=None, needs="BAQUP_SOURCE_PROT"))},
        "did you mean BAQUP_SOURCE_PORT?"),
    "a condition that cannot come": (
        {"mode": (str, config.enum("x", ("a", "b"), default="a")),
         "a": (str | None, config.text("x", required_if={"mode": "c"}))},
        "BAQUP_SOURCE_MODE can never be 'c'"),
    "an enum without words": ({"a": (str, config.enum("x", ()))}, "an enum needs its words"),
    "a name of its own": ({"a": (str, config.text("x", name="MY_A"))}, "begins with one of"),
    "a group of the contract's making": (
        {"a": (str, config.text("x", name="BAQUP_DATABASE_A"))},
        "a section named one of job, agent, staging, artifact, bus, source, target, or give it"),
    "bounds that leave nothing": (
        {"a": (int, config.integer("x", minimum=5, maximum=1))},
        "its least value 5 is above its greatest, 1"),
    "lengths that leave nothing": (
        {"a": (str, config.text("x", min_length=5, max_length=1))}, "its least length 5 is above"),
    "numbers of items that leave nothing": (
        {"a": (tuple, config.array("x", min_items=5, max_items=1))},
        "its least number of items 5 is above"),
    "a field with a default that nothing can set": (
        {"a": (int, attrs.field(default=7))}, "keep it out with field(init=False)"),
    "a secret that is none": (
        {"a": (str, config.text("x", name="BAQUP_SECRET_A"))}, "secrets, and secrets alone"),
    "the contract's variable as another kind": (
        {"port": (str, config.text("x"))}, "is of the kind int in the contract, not string"),
    "the contract's variable as optional": (
        {"a": (Path | None, config.path("x", name="BAQUP_STAGING_DIR", default=None))},
        "required by the contract"),
    "one name twice": (
        {"a": (str, config.text("x")), "b": (str, config.text("x", name="BAQUP_SOURCE_A"))},
        "declared twice"),
    "a field that nothing fills": ({"a": (str, attrs.field())}, "is no variable, so nothing"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", sorted(BROKEN))
def test_a_mistake_in_a_declaration_is_told_when_the_class_is_made(mistake: str) -> None:
    """The author learns of it on import, in one line that names the variable or the field."""
    fields, message = BROKEN[mistake]

    record = attrs.make_class("Record", {name: made for name, (_, made) in fields.items()})
    record.__annotations__ = {name: hint for name, (hint, _) in fields.items()}
    members = {"name": "agent-broken", "version": "1", "snapshot": snapshot}

    with pytest.raises(DeclarationError) as caught:
        type("Broken", (Agent,), {**members, "settings": _in_source(record)})

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_secret_has_no_default() -> None:
    """Every description of the agent would show it; the message does not."""
    row = Variable("BAQUP_SECRET_X", Kind.SECRET, "x", default="swordfish")

    for make in (lambda: config.secret("x", default="swordfish"), lambda: declare([row])):  # type: ignore[arg-type]
        with pytest.raises(DeclarationError, match="a secret has no default") as caught:
            make()
        assert "swordfish" not in str(caught.value)
    config.secret("x", default=None)


def test_of_several_wrong_names_the_first_is_told() -> None:
    """The same one each time, whatever the order of a set is."""
    rows = [Variable(f"BAQUP_{letter}_X", Kind.STRING, "x") for letter in "QWERTYUIOP"]

    for turn in range(len(rows)):
        turned = rows[turn:] + rows[:turn]
        with pytest.raises(DeclarationError, match=f"^{turned[0].name}: "):
            declare(turned)


@pytest.mark.parametrize("schemes", [("https://",), ("",), ("1a",)])
def test_a_scheme_that_is_none_is_refused(schemes: tuple[str, ...]) -> None:
    """No URL would ever have it."""
    with pytest.raises(DeclarationError, match="is no scheme"):
        config.uri("x", schemes=schemes)


@pytest.mark.parametrize(("text", "good"), [("git+ssh:x", True), ("gitssh:x", False)])
def test_a_scheme_is_taken_as_it_is_written(text: str, *, good: bool) -> None:
    """Its signs mean nothing in the pattern."""

    @frozen
    class Record:
        source_a: str = config.uri("x", schemes=("git+ssh",))

    loaded = read_environment(declare(variables_of(Record)), {**BASE, "BAQUP_SOURCE_A": text})
    assert (loaded.findings == ()) == good


def test_a_path_to_another_kind_of_thing_is_told_as_such(tmp_path: Path) -> None:
    """Nobody is sent to make what is there."""
    (tmp_path / "file").touch()

    (problem,) = load(PATH=str(tmp_path / "file")).problems
    assert problem.endswith("it is a file, not a directory; name a directory")


def test_a_rule_that_does_not_exist_is_refused() -> None:
    """A misspelt rule would otherwise be no rule at all."""
    with pytest.raises(DeclarationError, match="unknown rule 'requierd_for'"):
        config.text("x", requierd_for="snapshot")  # type: ignore[call-arg]


def test_a_class_that_is_no_record_is_refused() -> None:
    """The remedy is named."""
    with pytest.raises(DeclarationError, match="decorate it with attrs"):
        list(variables_of(str))


def test_the_contracts_own_rows_hold() -> None:
    """Its table passes what an author's has to pass."""
    assert len(declare(VARIABLES).variables) == len(VARIABLES)


@pytest.mark.parametrize(
    ("requires", "message"),
    [
        ({"restor": ("BAQUP_TARGET_PATH",)}, "no role 'restor'"),
        ({"snapshot": ("BAQUP_JOB_TIMEOUT",)}, "BAQUP_JOB_TIMEOUT has a default"),
    ],
)
def test_a_requirement_that_says_nothing_is_refused(requires: dict[str, Any], message: str) -> None:
    """Of a role that is not there, or of a variable that is always there."""
    members = {"name": "agent-a", "version": "1", "snapshot": snapshot}

    with pytest.raises(DeclarationError, match=message):
        type("A", (Agent,), {**members, "requires": requires})


def test_rows_and_requirements_may_be_declared_without_attrs() -> None:
    """`variables` and `requires` say the same as a class; undeclared open names may be required."""
    agent = type("A", (Agent,), {
        "name": "agent-a", "version": "1", "snapshot": snapshot,
        "variables": (Variable("BAQUP_SOURCE_SHARDS", Kind.INT, "shards", 4, minimum=1),),
        "requires": {"snapshot": ("BAQUP_SOURCE_REALM", "BAQUP_SECRET_TOKEN")},
    })  # fmt: skip

    loaded = read(agent, Role.SNAPSHOT, {**BASE, "BAQUP_SOURCE_SHARDS": "0"})
    assert [finding.variable for finding in loaded.findings] == [
        "BAQUP_SECRET_TOKEN",
        "BAQUP_SOURCE_REALM",
        "BAQUP_SOURCE_SHARDS",
    ]
    with pytest.raises(DeclarationError, match="did you mean BAQUP_JOB_ID"):
        type("B", (agent,), {"requires": {"snapshot": ("BAQUP_JOB_IDD",)}})


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("7B", 7), ("1K", 1024), ("2MB", 2**21), ("3GiB", 3 * 2**30), ("1Ti", 2**40)],
)
def test_a_size_is_a_number_of_bytes(text: str, size: int) -> None:
    """Units are powers of 1024, however they are written."""
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "auto", "1X", "-1", "1.5G", "1k", "1iB", "9" * 19, "1K\n"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="is no size"):
        size_bytes(text)


@pytest.mark.parametrize("text", ["", "1", "s", "1w", "1.5s", "-1s", "1m\n", "1s" * 6])
def test_a_duration_is_read_or_refused(text: str) -> None:
    """A bare number is seconds; what is none is refused."""
    if text == "1":
        assert duration(text) == timedelta(seconds=1)
        return
    with pytest.raises(ValueError, match="is no duration"):
        duration(text)


@given(st.integers(0, 999_999_999))
def test_a_duration_survives_being_written(milliseconds: int) -> None:
    """To the millisecond."""
    value = timedelta(milliseconds=milliseconds)

    assert duration(duration_text(value)) == value


def test_a_record_of_fields_without_variables_keeps_their_defaults() -> None:
    """A field of the author's own that no argument fills is left alone."""

    @frozen
    class Record:
        source_a: str = config.text("x")
        cache: dict[str, str] = attrs.field(factory=dict, init=False)

    assert [each.name for each in variables_of(Record)] == ["BAQUP_SOURCE_A"]
    assert record_of(Record, {"BAQUP_SOURCE_A": "1"}) == Record(source_a="1")
