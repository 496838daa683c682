"""Agents that break one rule each, and the checks that have to catch them.

A mutant is the text of a correct agent, agents/plain.py, with one piece replaced. The piece has
to stand there exactly once, so that a mutant cannot quietly become the correct agent.
"""

from __future__ import annotations

import sys
from pathlib import Path

from attrs import frozen

PLAIN = Path(__file__).parent / "agents" / "plain.py"


@frozen
class Mutant:
    """An agent with one rule broken.

    Attributes:
        name: what is wrong with it.
        caught_by: the ids of the checks that must fail, and no others of those that are run.
        old: the piece of the correct agent.
        new: what stands in its place.
        beside: ids of checks that may fail too, because the fault is theirs as well.
    """

    name: str
    caught_by: tuple[str, ...]
    old: str
    new: str
    beside: tuple[str, ...] = ()

    def write(self, directory: Path) -> tuple[str, ...]:
        """Write the mutant into a directory and return its command line."""
        text = PLAIN.read_text()
        found = text.count(self.old)
        assert found == 1, f"{self.name}: {self.old!r} is there {found} times"
        path = directory / "mutant.py"
        path.write_text(text.replace(self.old, self.new))
        return (sys.executable, "-I", str(path))


def plain_command() -> tuple[str, ...]:
    """Return the command line of the correct agent."""
    return (sys.executable, "-I", str(PLAIN))


#: By section of the suite; each engineer adds a tuple of their own below and joins it here.
CONTRACT = (
    Mutant(
        "info-exits-1",
        ("contract/1/info",),
        "        print(json.dumps(answers[arguments[0]]))\n        return 0",
        '        print(json.dumps(answers[arguments[0]]))\n        return arguments[0] == "--info"',
        beside=("contract/3/labels",),
    ),
    Mutant(
        "info-talks-first",
        ("contract/1/info",),
        "        print(json.dumps(answers[arguments[0]]))",
        '        print("hello") if arguments[0] == "--info" else None\n'
        "        print(json.dumps(answers[arguments[0]]))",
        beside=("contract/3/labels",),
    ),
    Mutant(
        "info-lacks-capabilities",
        ("contract/1/info",),
        '"capabilities": {"compression": ["none"], "checksums": ["sha256"], "parallel": False},',
        "",
    ),
    Mutant(
        "info-needs-environment",
        ("contract/1/info",),
        'answers = {"--info": INFO',
        'answers = {"--info": INFO | {"roles": ROLES[: len(os.environ.get("BAQUP_JOB_ID", ""))]}',
        beside=("contract/3/labels",),
    ),
    Mutant(
        "schema-is-none",
        ("contract/2/schema",),
        '        "BAQUP_STAGING_DIR": {"type": "string", "minLength": 1},',
        '        "BAQUP_STAGING_DIR": {"type": "text", "minLength": 1},',
    ),
    Mutant(
        "schema-forgets-the-job-id",
        ("contract/2/schema", "contract/5/required-missing"),
        '"BAQUP_BUS_URL", "BAQUP_JOB_ID", "BAQUP_SOURCE_PATH"',
        '"BAQUP_BUS_URL", "BAQUP_SOURCE_PATH"',
    ),
    Mutant(
        "schema-shows-a-secret",
        ("contract/2/schema",),
        '{"type": "string", "writeOnly": True}',
        '{"type": "string"}',
    ),
    Mutant(
        "labels-of-another-version",
        ("contract/3/labels",),
        '"io.baqup.version": VERSION',
        '"io.baqup.version": "0.9.9"',
    ),
    Mutant(
        "labels-of-an-old-schema",
        ("contract/3/labels",),
        'json.dumps(SCHEMA, separators=(",", ":"))',
        'json.dumps(SCHEMA | {"required": []}, separators=(",", ":"))',
    ),
    Mutant(
        "validate-writes",
        ("contract/4/validate-good",),
        '        print("\\n".join(problems or ["valid"]))',
        '        print("\\n".join(problems or ["valid"]))\n'
        '        open(os.path.join(os.environ.get("BAQUP_STAGING_DIR", "."), "t"), "w")',
    ),
    Mutant(
        "validate-connects",
        ("contract/4/validate-good",),
        '        print("\\n".join(problems or ["valid"]))',
        '        print("\\n".join(problems or ["valid"]))\n'
        "        not problems and Bus(_).connect()",
    ),
    Mutant(
        "validate-refuses-good",
        ("contract/4/validate-good",),
        "return 64 if problems else 0",
        "return 64",
    ),
    Mutant(
        "missing-ends-with-1",
        ("contract/5/required-missing", "contract/6/bad-value", "contract/6/secret-never-echoed"),
        '            log("error", problem)\n        return 64',
        '            log("error", problem)\n        return 1',
    ),
    Mutant(
        "missing-unnamed",
        ("contract/5/required-missing", "contract/7/all-errors-at-once"),
        'f"{name}: is required"',
        '"a variable is required"',
    ),
    Mutant(
        "bad-number-falls-back",
        (
            "contract/6/bad-value",
            "contract/6/secret-never-echoed",
            "contract/7/all-errors-at-once",
        ),
        'problems.append(f"{name}={text!r}: expected a whole number")',
        'values[name] = rule["default"]',
    ),
    Mutant(
        "bad-url-echoed",
        ("contract/6/secret-never-echoed",),
        '"BAQUP_BUS_URL: expected redis://host:port/db"',
        "f\"BAQUP_BUS_URL={os.environ.get('BAQUP_BUS_URL')}: expected redis://host:port/db\"",
    ),
    Mutant(
        "errors-one-by-one",
        ("contract/7/all-errors-at-once",),
        "    return values, problems\n",
        "    return values, problems[:1]\n",
    ),
    Mutant(
        "unknown-role-ends-with-2",
        ("contract/8/unknown-arguments",),
        'or --info, --schema, --labels, --validate")\n        return 64',
        'or --info, --schema, --labels, --validate")\n        return 2',
    ),
)

STORAGE = (
    Mutant(
        "wrong-checksum",
        ("storage/40/manifest-matches",),
        "hashlib.sha256(file.read())",
        "hashlib.sha256(file.read()[1:])",
    ),
    Mutant(
        "wrong-size",
        ("storage/40/manifest-matches",),
        "        size = os.path.getsize(path)",
        "        size = os.path.getsize(path) + 1",
    ),
    Mutant(
        "unlisted-file",
        ("storage/40/manifest-matches",),
        "        os.rmdir(self.work)",
        '        os.rename(self.work, os.path.join(self.directory, "more"))',
    ),
    Mutant(
        "artifact-is-a-link",
        ("storage/40/manifest-matches",),
        "        os.rmdir(self.work)",
        '        os.rename(os.path.join(self.directory, "data.tar"), self.work + "/data.tar")\n'
        '        os.symlink(".staging/data.tar", os.path.join(self.directory, "data.tar"))',
    ),
    Mutant(
        "artifact-outside",
        ("storage/40/manifest-matches",),
        '"filename": "data.tar"',
        '"filename": "../data.tar"',
    ),
)

LOGS = (
    Mutant(
        "log-without-job",
        ("logs/46/json-lines",),
        '        "job_id": os.environ.get("BAQUP_JOB_ID", ""),\n        "message"',
        '        "message"',
    ),
    Mutant(
        "prints-to-stderr",
        ("logs/46/json-lines",),
        "    bus.start()",
        '    bus.start()\n    print("started", file=sys.stderr)',
    ),
    Mutant(
        "bare-traceback",
        ("logs/46/json-lines",),
        '        log("error", "a bug", traceback=traceback.format_exc())',
        "        traceback.print_exc()",
    ),
)

from tests.conformance.mutants_heartbeat import HEARTBEAT  # noqa: E402  they are made of Mutant
from tests.conformance.mutants_lifecycle import LIFECYCLE  # noqa: E402  they are made of Mutant
from tests.conformance.mutants_logs import OUTCOMES  # noqa: E402  they are made of Mutant
from tests.conformance.mutants_outage import OUTAGE  # noqa: E402  they are made of Mutant
from tests.conformance.mutants_secrets import SECRETS  # noqa: E402  they are made of Mutant
from tests.conformance.mutants_signals import SIGNALS  # noqa: E402  they are made of Mutant
from tests.conformance.mutants_storage import PUBLICATION  # noqa: E402  made of Mutant

ALL = (
    *CONTRACT,
    *STORAGE,
    *LOGS,
    *LIFECYCLE,
    *SIGNALS,
    *HEARTBEAT,
    *OUTAGE,
    *OUTCOMES,
    *SECRETS,
    *PUBLICATION,
)
