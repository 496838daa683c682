"""``conform.toml``: what the suite has to be told about an agent.

    [env]                               # for every run
    BAQUP_SOURCE_PATH = "{source}"

    [roles.restore]
    after = "snapshot"                  # is run first; its directory is {published}
    env = { BAQUP_SOURCE_PATH = "{published}", BAQUP_TARGET_PATH = "{work}/target" }

    [describe]
    schema = ["--schema"]               # arguments that print agent-schema.json
    schema_file = "agent-schema.json"   # the shipped file
    labels = ["--labels", "json"]       # arguments that print the image's labels
    labels_file = "labels.json"

    [shared]
    prepare = ["sh", "-c", "…"]         # once, in {shared}

    [secrets]
    names = ["BAQUP_SECRET_DB_PASSWORD"]

    [fixtures.slow]                     # work that lasts some seconds, for instance
    env = { … }
    command = ["./slow-agent"]          # in place of the agent's own

    [lacks]                             # a capability that the agent has not, and why
    labels = "the image is built elsewhere"

    [bypass]                            # a check, or several by a pattern, and why
    "contract/3/*" = "…"

In values ``{source}`` is a small tree of files, ``{shared}`` a directory that all runs share,
``{work}`` one of the run's own, ``{here}`` the directory of the file, ``{python}`` the
interpreter. Relative paths of files are relative to the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import Factory, frozen

from baqup_agent.errors import ConfigError

_TABLES = {
    "env": None,
    "roles": {"env", "after"},
    "describe": {"schema", "schema_file", "labels", "labels_file"},
    "shared": {"prepare"},
    "secrets": {"names"},
    "fixtures": {"env", "command", "arguments", "role"},
    "lacks": None,
    "bypass": None,
}


#: What an agent may lack without breaking a rule; of all else a [bypass] gives the reason.
_CAPABILITIES = ("labels",)


@frozen
class RoleNeeds:
    """A valid environment of one role, and the role that has to run before it."""

    env: Mapping[str, str] = Factory(dict)
    after: str | None = None


@frozen
class Fixture:
    """How the agent is brought to behave in a certain way.

    Attributes:
        env: further variables.
        command: in place of the agent's; None for its own.
        arguments: in place of the role; None for the role.
        role: the role in which it does so; None for any.
    """

    env: Mapping[str, str] = Factory(dict)
    command: tuple[str, ...] | None = None
    arguments: tuple[str, ...] | None = None
    role: str | None = None


@frozen
class ConformFile:
    """The file's content; without a file, the defaults."""

    here: Path = Path()
    env: Mapping[str, str] = Factory(dict)
    roles: Mapping[str, RoleNeeds] = Factory(dict)
    schema: tuple[str, ...] = ("--schema",)
    schema_file: Path | None = None
    labels: tuple[str, ...] | None = None
    labels_file: Path | None = None
    prepare: tuple[str, ...] | None = None
    secrets: tuple[str, ...] = ()
    fixtures: Mapping[str, Fixture] = Factory(dict)
    lacks: Mapping[str, str] = Factory(dict)
    bypass: Mapping[str, str] = Factory(dict)


def read_conform_file(path: Path) -> ConformFile:
    """Read a file.

    Raises:
        ConfigError: it cannot be read, or says something that has no sense; all such at once.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; check --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    problems = [f"{path}: {problem}" for problem in _problems(document)]
    if problems:
        raise ConfigError(*problems)
    return _from(document, path.resolve().parent)


def _from(document: dict[str, Any], here: Path) -> ConformFile:
    describe = document.get("describe", {})

    def file(name: str) -> Path | None:
        return here / describe[name] if name in describe else None

    return ConformFile(
        here=here,
        env=document.get("env", {}),
        roles={
            name: RoleNeeds(table.get("env", {}), table.get("after"))
            for name, table in document.get("roles", {}).items()
        },
        schema=tuple(describe.get("schema", ("--schema",))),
        schema_file=file("schema_file"),
        labels=_words(describe.get("labels")),
        labels_file=file("labels_file"),
        prepare=_words(document.get("shared", {}).get("prepare")),
        secrets=tuple(document.get("secrets", {}).get("names", ())),
        fixtures={
            name: Fixture(
                table.get("env", {}),
                _words(table.get("command")),
                _words(table.get("arguments")),
                table.get("role"),
            )
            for name, table in document.get("fixtures", {}).items()
        },
        lacks=document.get("lacks", {}),
        bypass=document.get("bypass", {}),
    )


def _words(value: list[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


def _problems(document: dict[str, Any]) -> list[str]:
    problems = [
        f"[{name}] is unknown; there are {', '.join(_TABLES)}"
        for name in document
        if name not in _TABLES
    ]
    for name, members in _TABLES.items():
        table = document.get(name, {})
        if not isinstance(table, dict):
            problems.append(f"{name} has to be a table, [{name}]")
        elif members is None:
            problems += _text_problems(name, table)
        elif name in ("roles", "fixtures"):
            for key, inner in table.items():
                problems += _table_problems(f"{name}.{key}", inner, members)
        else:
            problems += _table_problems(name, table, members)
    return problems


def _text_problems(name: str, table: dict[str, Any]) -> list[str]:
    why = "a reason" if name in ("lacks", "bypass") else "a text"
    unknown = sorted(table.keys() - _CAPABILITIES) if name == "lacks" else []
    return [
        f"[lacks] {key}: is unknown; there are {', '.join(_CAPABILITIES)}" for key in unknown
    ] + [
        f"[{name}] {key}: needs {why} in quotes"
        for key, value in table.items()
        if not isinstance(value, str) or (name != "env" and not value.strip())
    ]


def _table_problems(name: str, table: Any, members: set[str]) -> list[str]:
    if not isinstance(table, dict):
        return [f"{name} has to be a table, [{name}]"]
    problems = []
    for key, value in table.items():
        if key not in members:
            problems.append(f"[{name}] {key}: is unknown; there are {', '.join(sorted(members))}")
        elif key == "env":
            problems += (
                _text_problems("env", value)
                if isinstance(value, dict)
                else [f"[{name}] env: needs a table of texts"]
            )
        elif key in ("after", "role", "schema_file", "labels_file"):
            problems += [] if isinstance(value, str) else [f"[{name}] {key}: needs a text"]
        elif not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            problems.append(f"[{name}] {key}: needs a list of texts")
    return problems
