"""Canaries: secrets put everywhere, and looked for in everything that comes out (Contract §7).

The forms that are looked for are made here, independently of the code that takes them out.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import random
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from baqup_agent import Logger, Secret
from baqup_agent.bus.encoding import to_json
from baqup_agent.observability.redaction import Redactor
from tests.agent_process import AgentProcess
from tests.observability import blabber

SEED = 20260115

PROGRAM = Path(blabber.__file__)

#: What a job is given to keep: marks, hexadecimal digits, a number, and a key of several lines.
CANARIES = {
    "BAQUP_SECRET_PASSWORD": 'c4n4ry/p@ss+"w0rd" ü',
    "BAQUP_SECRET_TOKEN": "9f86d081884c7d659a2feaa0c55ad015",
    "BAQUP_SECRET_PIN": "8675309421",
    "BAQUP_SECRET_KEY": "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n9w0BAQEFAASCBKcwggSj\n",
}
URL_PASSWORD = "Ur1%2Fc4n4ry"


class Run:
    """One run of the agent that tells everything, in a directory of its own."""

    def __init__(self, scene: Path, end: str, **environ: str) -> None:
        scene.mkdir()
        self.scene = scene
        self.process = AgentProcess(
            scene,
            program=PROGRAM,
            environ={
                **CANARIES,
                "BAQUP_SOURCE_END": end,
                "BAQUP_BUS_FALLBACK_DIR": str(scene / "outbox"),
                "BAQUP_AGENT_TRACE_FILE": str(scene / "trace.jsonl"),
                "BAQUP_AGENT_LOG_LEVEL": "trace",
                "BAQUP_JOB_RETRY_BACKOFF": "constant",
                "BAQUP_JOB_RETRY_MAX": "2",
                **environ,
            },
        )

    def finish(self) -> int:
        try:
            return self.process.wait()
        finally:
            self.process.end()

    def outcome(self) -> Iterator[tuple[str, str]]:
        """All that came out, by its place."""
        yield "stderr", self.process.stderr
        for path in sorted(self.scene.rglob("*")):
            place = str(path.relative_to(self.scene))
            yield "a name", place
            if path.is_file():
                yield place, path.read_bytes().decode("utf-8", "surrogateescape")


def disguises(secret: str) -> set[str]:
    """The forms in which a secret must not be seen, each of them by the standard library."""
    raw = secret.encode()
    forms = {secret, quote(raw), quote(raw, safe=""), quote_plus(raw), raw.hex(), raw.hex().upper()}
    forms |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    forms |= {json.dumps(form)[1:-1] for form in forms}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            encoded = encode(bytes(before) + raw + bytes(3)).decode()
            forms.add(encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6])
    return forms | {line.strip() for line in secret.splitlines() if len(line.strip()) >= 8}


FORMS = {
    form
    for secret in (*CANARIES.values(), URL_PASSWORD, "Ur1/c4n4ry")
    for form in disguises(secret)
}


def leaks(outcome: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(place, form) for place, text in outcome for form in FORMS if form in text]


#: Runs that tell nothing before their end does: what they all have in common is tested by others.
QUIET = {"BAQUP_SOURCE_QUIET": "1"}

#: A bus that is not there, with credentials.
ABSENT = {"BAQUP_BUS_URL": f"redis://me:{URL_PASSWORD}@127.0.0.1:1/0"}

#: Ways for a run to end: the author's part in it, the exit code, more of the environment.
ENDS: dict[str, tuple[str, int, Mapping[str, str]]] = {
    "success": ("succeed", 0, {"BAQUP_AGENT_PARTIAL_FAILURE_MODE": "skip"}),
    "partial": ("succeed", 76, {}),
    "text log": ("fail", 70, {"BAQUP_AGENT_LOG_FORMAT": "text"}),
    "logfmt, strict": (
        "data", 65, {"BAQUP_AGENT_LOG_FORMAT": "logfmt", "BAQUP_AGENT_LOG_SANITIZE": "strict"},
    ),
    "no sanitising": ("config", 64, {"BAQUP_AGENT_LOG_SANITIZE": "none"}),
    "output": ("output", 74, QUIET),
    "bug": ("key", 70, QUIET),
    "child": ("child", 1, QUIET),
    "arguments": ("arguments", 70, QUIET),
    "artifact's name": ("name", 70, QUIET),
    "attempts": ("retry", 69, QUIET),
    "exit": ("exit", 70, QUIET),
    "printing library": ("print", 65, QUIET),
    "children's environment": ("spawn", 69, QUIET),
    "timeout": ("wait", 1, {"BAQUP_JOB_TIMEOUT": "3"}),
    "bad configuration": ("succeed", 64, {"BAQUP_JOB_TIMEOUT": CANARIES["BAQUP_SECRET_PASSWORD"]}),
    "absent bus": ("succeed", 75, {"BAQUP_AGENT_PARTIAL_FAILURE_MODE": "skip", **ABSENT}),
    "absent bus and failure": ("fail", 70, {**QUIET, **ABSENT}),
    "malformed url": (
        "succeed", 64, {"BAQUP_BUS_URL": f"redsi://me:{URL_PASSWORD}@127.0.0.1:1/0"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", ENDS)
def test_no_run_lets_a_secret_out(tmp_path: Path, how: str) -> None:
    """However a run ends, none of its secrets is in any form in anything that it leaves behind."""
    end, exit_code, environ = ENDS[how]
    run = Run(tmp_path / "scene", end, **environ)

    assert run.finish() == exit_code, run.process.stderr
    outcome = list(run.outcome())
    assert leaks(iter(outcome)) == []
    assert "[REDACTED]" in run.process.stderr or how == "malformed url", "nothing was told"
    size_bytes = sum(len(text) for _, text in outcome)
    print(f"{how}: {len(outcome)} places, {size_bytes} bytes, {len(FORMS)} forms: 0 leaks")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_no_killed_run_lets_a_secret_out(tmp_path: Path, signum: signal.Signals) -> None:
    """The same for what a run has left when it was ended from outside."""
    run = Run(tmp_path / "scene", "deaf")
    try:
        run.process.wait_until(lambda: "act begun" in run.process.stderr)
        run.process.signal(signum)
        run.process.wait()
    finally:
        run.process.end()

    assert leaks(run.outcome()) == []


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """A search that finds nothing proves something only if it can find something."""
    for form in FORMS:
        (tmp_path / "x").write_text(f"a{form}b")
        assert form in [found for _, found in leaks(iter([("x", (tmp_path / "x").read_text())]))]


#: Letters of generated secrets; none of a word that stands in our own output.
LETTERS = 'QXZJKW79#"/+\\% \nßé\u20ac\U0001f511'


SANITIZE = ["none", "moderate", "strict"]
FORMATS = ["json", "text", "logfmt"]


@pytest.mark.timeout(1200)  # the long mode is long
def test_no_generated_secret_gets_out(long: bool) -> None:
    """Any secret in any form at any place of a log line or message is taken out."""
    cases = 10_000 if long else 500
    chance = random.Random(SEED)
    stream = io.StringIO()
    log = Logger("j", "a", "trace", stream=stream, capture_all=True)
    leaked = []
    for number in range(cases):
        secrets = [generated(chance) for _ in range(chance.randint(1, 3))]
        forms = {form for secret in secrets for form in disguises(secret)}
        told = " ".join(disguised(chance, chance.choice(secrets)) for _ in range(3))
        log.redactor = Redactor(map(Secret, secrets), chance.choice(SANITIZE))
        log.adjust(job_id="j", level="trace", format=chance.choice(FORMATS))
        stream.seek(0)
        stream.truncate()
        tell(log, told)
        for text in (stream.getvalue(), sent(log.redactor, told)):
            leaked += [(number, form, text) for form in forms if form in text]
    log.close()
    print(f"{cases} generated cases: {len(leaked)} leaks")

    assert leaked == []


def generated(chance: random.Random) -> str:
    """A secret that begins and ends with a letter, so that no blank around it is lost."""
    inner = "".join(chance.choices(LETTERS, k=chance.randint(2, 30)))
    return chance.choice("QXZ") + inner + chance.choice("JKW")


#: A library's logger of which pytest hears nothing.
LIBRARY = logging.getLogger("a.quiet.library")
LIBRARY.propagate = False


def disguised(chance: random.Random, secret: str) -> str:
    raw = secret.encode()
    encode = chance.choice([base64.b64encode, base64.urlsafe_b64encode])
    around = bytes(chance.choices(range(256), k=chance.randint(0, 5)))
    return chance.choice(
        [
            secret,
            quote(raw),
            quote_plus(raw),
            json.dumps(secret),
            json.dumps(secret, ensure_ascii=False),
            raw.hex(),
            raw.hex().upper(),
            encode(around + raw + around[:2]).decode(),
            f"https://me:{quote(raw, safe='')}@host/{secret}",
        ]
    )


def tell(log: Logger, told: str) -> None:
    log.info(told, key=told, nested={told: [told]}, object=ValueError(told))
    try:
        raise ValueError(told) from KeyError(told)
    except ValueError:
        LIBRARY.exception("%s", told)


def sent(redactor: Redactor, told: str) -> str:
    """A status as the bus sends it: encoded first, and cleaned if it holds anything."""
    message: dict[str, Any] = {
        "type": "status",
        "files": [{"path": "data.bin", "size_bytes": 1}],
        "error": {"message": told, "attempts": [{"error": told}], "suggestions": [told]},
        "components": [{"name": told}],
        "source_metadata": {told: told, "type": told},
    }
    line = to_json(message)
    return to_json(redactor.message(json.loads(line))) if redactor.contains(line) else line
