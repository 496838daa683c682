"""`--validate`: a verdict on an environment before anything runs, for people and controllers."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from baqup_agent import Secret
from baqup_agent.agents.fs import FsAgent
from baqup_agent.bus.url import parse_bus_url
from baqup_agent.config.blank import admits_empty
from baqup_agent.config.coercion import Uncoercible, coerce
from baqup_agent.config.variables import VARIABLES, Kind
from baqup_agent.contract import Role
from baqup_agent.errors import BusRefused, ConfigError
from baqup_agent.runtime.configuring import _COMMON_LEVEL, PLAIN_URL
from baqup_agent.runtime.validating import validity
from baqup_agent.staging.codec import CODECS
from baqup_agent.staging.encryption import check_key
from tests.config.generated import BASE, TEXTS
from tests.spec import assert_keeps

ROOT = Path(__file__).parents[2]
GOOD = {**BASE, "BAQUP_SOURCE_PATH": "/data"}
ODD = {**GOOD, "BAQUP_JOB_TIMOUT": "1"}


def call(
    *arguments: str, environ: dict[Any, Any], **others: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "baqup_agent.agents.fs", *arguments],
        cwd=ROOT, env={**environ, **others}, capture_output=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "role", "code"),
    [(GOOD, "snapshot", 0), (GOOD, "restore", 64), (ODD, "snapshot", 0), ({}, "snapshot", 64)],
)
def test_the_answer_for_a_controller_keeps_the_spec(
    environ: dict[str, str], role: str, code: int
) -> None:
    """One document whose verdict is the exit code."""
    done = call("--validate", "--json", role, environ=environ)

    document = json.loads(done.stdout)
    assert done.returncode == code
    assert done.stderr == b""
    assert_keeps("validation", document)
    assert (document["valid"], document["role"]) == (code == 0, role)
    assert [each["variable"] for each in document["warnings"]] == [
        name for name in environ if name == "BAQUP_JOB_TIMOUT"
    ]


def test_an_unknown_name_is_a_warning_and_with_strict_an_error() -> None:
    """The line is the same; what it counts for differs."""
    mild = call("--validate", "snapshot", environ=ODD)
    strict = call("--validate", "--strict", "snapshot", environ=ODD)

    assert mild.returncode == 0
    verdict, warning = mild.stdout.decode().splitlines()
    assert verdict == "the configuration is valid"
    assert warning.startswith("warning: BAQUP_JOB_TIMOUT is not declared by this agent")
    assert strict.returncode == 64
    assert strict.stdout.decode().splitlines() == [warning.removeprefix("warning: ")]


def test_the_password_of_the_bus_is_used_and_never_shown() -> None:
    """A URL without a password and the secret that names it go together."""
    environ = {**GOOD, "BAQUP_BUS_URL": "redis://h", "BAQUP_SECRET_BUS_PASSWORD": "hunter2"}
    other = {**environ, "BAQUP_BUS_URL": "redis://:swordfish@h"}

    assert validity(FsAgent, Role.SNAPSHOT, environ)[1] == 0
    text, code = validity(FsAgent, Role.SNAPSHOT, other)
    assert code == 64
    assert text.startswith("BAQUP_BUS_URL")
    assert "hunter2" not in text
    assert "swordfish" not in text


def test_a_password_of_the_bus_that_is_no_text_is_refused() -> None:
    """In one line, which does not show it."""
    secret = {"BAQUP_BUS_URL": "redis://h", "BAQUP_SECRET_BUS_PASSWORD": "hunter2\udcff"}
    text, code = validity(FsAgent, Role.SNAPSHOT, {**GOOD, **secret})

    assert code == 64
    assert text == "BAQUP_SECRET_BUS_PASSWORD (value not shown): expected text in UTF-8"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
@pytest.mark.parametrize("arguments", [(), ("--json",), ("--strict", "--json")])
def test_names_and_values_that_are_no_text_are_answered(
    encoding: str, arguments: tuple[str, ...]
) -> None:
    """Bytes that no encoding knows, in a terminal that knows few."""
    done = call(
        "--validate", *arguments,
        environ={**GOOD, b"BAQUP_\xff\xe9": b"\xff", "BAQUP_JOB_TIMEOUT": b"\xff\x80" * 99},
        PYTHONIOENCODING=encoding, LC_ALL="C",
    )  # fmt: skip

    assert done.returncode == 64
    assert done.stderr == b""
    assert b"BAQUP_JOB_TIMEOUT" in done.stdout


@given(st.from_regex(PLAIN_URL, fullmatch=True))
def test_a_url_that_is_let_pass_is_one(url: str) -> None:
    """What is too plain to be parsed is accepted by the parser as well."""
    parse_bus_url(url)


@pytest.mark.parametrize(
    ("algorithm", "level", "code"),
    [("zstd", "22", 0), ("gzip", "9", 0), ("gzip", "10", 64), ("gzip", "-1", 64), ("lz4", "13", 64),
     ("none", "22", 0)],
)  # fmt: skip
def test_a_level_that_the_algorithm_lacks_is_a_mistake(
    algorithm: str, level: str, code: int
) -> None:
    """It is told before a run, unless nothing is compressed."""
    asked = {"BAQUP_ARTIFACT_COMPRESS_ALGORITHM": algorithm, "BAQUP_ARTIFACT_COMPRESS_LEVEL": level}
    text, verdict = validity(FsAgent, Role.SNAPSHOT, {**GOOD, **asked})

    assert verdict == code
    assert text.startswith("BAQUP_ARTIFACT_COMPRESS_LEVEL is") == (code == 64)
    off = {**GOOD, **asked, "BAQUP_ARTIFACT_COMPRESS": "false"}
    assert validity(FsAgent, Role.SNAPSHOT, off)[1] == 0


def test_the_level_that_is_let_pass_is_known_to_all() -> None:
    """What is not looked up needs no looking up."""
    assert all(_COMMON_LEVEL in codec.levels for codec in CODECS.values() if codec.levels)


PARENT = f"00-{'1' * 32}-{'2' * 16}-01"


@pytest.mark.parametrize(
    ("own", "warning"),
    [
        (
            {"AGENT_TRACING_ENABLED": "true"},
            "but there is no endpoint; set BAQUP_AGENT",
        ),
        ({"AGENT_TRACING_ENDPOINT": "ftp://me:hunter2@h"}, "is no http or https URL; give an OTLP"),
        ({"AGENT_TRACING_ENDPOINT": "collector:4318"}, "is no http or https URL; give an OTLP"),
        ({"JOB_TRACE_PARENT": "00-1-2-3", "SECRET_X": "hunter2"}, "is no W3C traceparent; give"),
        ({"JOB_TRACE_PARENT": "hunter2 x", "SECRET_X": "hunter2"}, "is no W3C traceparent; give"),
        ({"AGENT_TRACING_ENABLED": "true", "AGENT_TRACING_ENDPOINT": "http://h:4318/x"}, None),
        ({"AGENT_TRACING_ENDPOINT": "https://me:pw@[::1]:4318"}, None),
        ({"JOB_TRACE_PARENT": PARENT}, None),
        ({"JOB_TRACE_PARENT": "", "AGENT_TRACING_ENDPOINT": ""}, None),
    ],
)
def test_tracing_that_would_come_to_nothing_is_a_warning(
    own: dict[str, str], warning: str | None
) -> None:
    """A run goes on without it, so that even who is strict gets no error; nothing is given away."""
    environ = {**GOOD, **{f"BAQUP_{name}": text for name, text in own.items()}}
    text, code = validity(FsAgent, Role.SNAPSHOT, environ, strict=True)

    assert code == 0
    assert len(text.splitlines()) == (1 if warning is None else 2)
    assert warning is None or warning in text.splitlines()[1]
    assert "hunter2" not in text
    document = validity(FsAgent, Role.SNAPSHOT, environ, as_json=True)[0]
    assert_keeps("validation", json.loads(document))


# --- fuzzed environments

DECLARED = FsAgent.declaration().variables
SCHEMA = FsAgent.schema()
VALIDATOR = Draft202012Validator(SCHEMA)
NAMES = [
    *(variable.name for variable in VARIABLES),
    "BAQUP_JOB_TIMOUT", "BAQUP_SOURCE_X", "BAQUP_SECRET_X", "PATH",
]  # fmt: skip
URLS = [
    "redis://h", "rediss://h:6380/1", "redis://:p@h", "redis://h:port", "redis://", "http://h",
    "unix:///s", "file://x", "file:///b", "redis://h/x", "redis://[::1", "file:///\udcff",
]  # fmt: skip
FITTING = {
    Kind.INT: ["0", "1", "10", "600", "65535"], Kind.BOOL: ["true", "false"], Kind.URI: URLS,
    Kind.SIZE: ["0", "512M", "auto"], Kind.PATH: ["/x", "y", "/x\n"], Kind.HOSTNAME: ["db", "::1"],
    Kind.ARRAY: ["a,b", "a|b", '["a"]'], Kind.UUID: [BASE["BAQUP_JOB_ID"]],
    Kind.SECRET: ["A" * 43 + "=", "correct horse battery staple", "short"],
}  # fmt: skip


def fuzzed(chance: random.Random) -> dict[str, str]:
    """An environment: the required ones mostly, and some others, fitting or not."""
    environ = {name: text for name, text in GOOD.items() if chance.random() < 0.95}
    for name in chance.sample(NAMES, chance.randrange(4)):
        variable = DECLARED.get(name)
        fitting = [] if variable is None else (*variable.choices, *FITTING.get(variable.kind, ()))
        texts = fitting if fitting and chance.random() < 0.7 else TEXTS
        environ[name] = chance.choice(list(texts))
        if chance.random() < 0.05:
            environ[name] = "".join(
                chance.choices("aé\0\n\udcff\"'[]{}|,: 0-9%\x1b", k=chance.randrange(30))
            )
    return environ


def fits(algorithm: str, key: str | None) -> bool:
    """Whether the key is one of that cipher."""
    try:
        check_key(algorithm, Secret(key or ""))
    except ConfigError:
        return False
    return True


def the_schema_accepts(environ: dict[str, str], role: Role | None) -> bool:
    """What jsonschema says; of a bus's URL, of which it cannot, what the bus says."""
    instance: dict[str, Any] = {} if role is None else {"role": role.value}
    for name, form in SCHEMA["properties"].items():
        if environ.get(name, "") or (name in environ and admits_empty(form)):
            try:
                instance[name] = coerce(environ[name], form)
            except Uncoercible:
                return False
    if not VALIDATOR.is_valid(instance):
        return False
    level = instance.get("BAQUP_ARTIFACT_COMPRESS_LEVEL", 3)
    algorithm = instance.get("BAQUP_ARTIFACT_COMPRESS_ALGORITHM", "zstd")
    levels = CODECS[algorithm].levels
    if instance.get("BAQUP_ARTIFACT_COMPRESS", True) and levels and level not in levels:
        return False
    key = instance.get("BAQUP_SECRET_ARTIFACT_KEY")
    algorithm = instance.get("BAQUP_ARTIFACT_ENCRYPT_ALGORITHM", "aes-256-gcm")
    if instance.get("BAQUP_ARTIFACT_ENCRYPT") and not fits(algorithm, key):
        return False
    password = environ.get("BAQUP_SECRET_BUS_PASSWORD") or None
    try:
        parse_bus_url(environ["BAQUP_BUS_URL"], None if password is None else Secret(password))
    except (BusRefused, UnicodeError):
        return False
    return True


@pytest.mark.timeout(900)
def test_fuzzed_environments_get_the_verdict_of_the_schema(long: bool) -> None:
    """Never an exception, always 0 or 64, and always what the JSON Schema says."""
    chance = random.Random(20240115)
    count, valid = (100_000 if long else 800), 0
    for _ in range(count):
        environ = fuzzed(chance)
        role = chance.choice([None, Role.SNAPSHOT, Role.RESTORE])
        text, code = validity(FsAgent, role, environ, as_json=chance.random() < 0.5)

        assert code in {0, 64}
        assert (code == 0) == the_schema_accepts(environ, role), (environ, role, text)
        text.encode("utf-8")
        valid += code == 0
    print(f"{count} environments, {valid} of them valid")
    assert 0.2 < valid / count < 0.8


def test_fuzzed_environments_of_real_processes_end_without_a_traceback(long: bool) -> None:
    """The same through the command line: an answer on stdout, silence on stderr."""
    chance = random.Random(1)
    for _ in range(300 if long else 6):
        environ = {
            name: os.fsencode(text).replace(b"\0", b"") for name, text in fuzzed(chance).items()
        }
        role, extra = chance.choice(["snapshot", "restore"]), chance.choice([[], ["--json"]])
        done = call("--validate", role, *extra, environ=environ)
        decoded = {name: os.fsdecode(text) for name, text in environ.items()}

        assert done.stderr == b""
        assert done.returncode == (0 if the_schema_accepts(decoded, Role(role)) else 64)
