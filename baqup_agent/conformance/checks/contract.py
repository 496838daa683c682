"""Rules 1 to 8: what an agent says of itself, and how it takes a wrong configuration."""

from __future__ import annotations

import json
import uuid
from typing import Any

from baqup_agent.conformance.check import check
from baqup_agent.conformance.endings import require_exit, require_success
from baqup_agent.conformance.lab import OWN_VARIABLES, Lab
from baqup_agent.conformance.oracle import faults_of, schema_faults
from baqup_agent.conformance.run import Run
from baqup_agent.conformance.verdicts import NotApplicable, Violation, require

#: The exit code of a wrong command line or configuration (Contract §5).
_USAGE = 64

#: Values that no variable of these types takes (Contract §2).
_BAD_VALUES = {
    "BAQUP_JOB_TIMEOUT": "three",
    "BAQUP_AGENT_LOG_LEVEL": "shouting",
    "BAQUP_AGENT_PARTIAL_FAILURE_MODE": "perhaps",
}

#: Labels that every image has (Contract §8).
_LABELS = {
    "io.baqup.agent",
    "io.baqup.type",
    "io.baqup.version",
    "io.baqup.roles",
    "io.baqup.schema",
}


@check(
    "contract/1/info",
    rule="--info prints one JSON document that describes the agent, and exits 0, "
    "without an environment and without a network.",
    source="Contract §8",
    how="--info is run without any BAQUP_ variable and in a network namespace that has no "
    "interface; its output is held against info.schema.json.",
    remedy="Print one JSON object with agent, version, build, roles, capabilities and "
    "requirements before anything of the configuration is read.",
)
def _info(lab: Lab) -> None:
    try:
        run = lab.call("--info", bare=True, offline=True)
    except NotApplicable:  # no namespaces here: the proxy still tells of connections
        run = lab.call("--info", bare=True)
    require_success(run, "called with --info")
    try:
        document = json.loads(run.stdout)
    except (ValueError, RecursionError) as error:
        raise Violation(f"--info prints no JSON document: {error}", run.stdout[:300]) from error
    faults = faults_of("info", document)
    require(not faults, "what --info prints is not as its schema asks", faults)


@check(
    "contract/2/schema",
    rule="The agent's schema is a valid JSON Schema of its variables, names what every job "
    "needs, marks secrets, and is the one that is shipped.",
    source="Contract §2",
    how="The schema that the agent prints is checked as JSON Schema 2020-12 and, if conform.toml "
    "names a file, compared with it.",
    remedy="Generate agent-schema.json from the same declaration that the agent reads, and "
    "refresh the file when that changes.",
)
def _schema(lab: Lab) -> None:
    document = lab.agent.schema()
    faults = schema_faults(document)
    require(not faults, "the schema is no valid JSON Schema of draft 2020-12", faults)
    properties = document.get("properties", {})
    required = document.get("required", [])
    missing = [name for name in OWN_VARIABLES if name not in required or name not in properties]
    require(not missing, f"the schema does not require {', '.join(missing)}")
    bare = [
        name
        for name, part in properties.items()
        if name.startswith("BAQUP_SECRET_") and not (isinstance(part, dict) and _secret(part))
    ]
    require(not bare, f"secrets are not marked writeOnly: {', '.join(bare)}")
    shipped = lab.agent.shipped_schema()
    require(
        shipped is None or shipped == document,
        "the shipped schema file is not what the agent prints; generate it anew",
    )


@check(
    "contract/3/labels",
    rule="The labels of the image say the same as --info and the schema.",
    source="Contract §8",
    how="Each label that conform.toml leads to is compared with the member of --info, or the "
    "schema, that it repeats.",
    remedy="Generate the labels from the agent when its image is built.",
)
def _labels(lab: Lab) -> None:
    found = lab.agent.labels()
    require(isinstance(found, dict), "the labels are no JSON object")
    said = lab.agent.info()
    missing = sorted(_LABELS - set(found))
    require(not missing, f"labels are missing: {', '.join(missing)}")
    _same_labels(found, said)
    text = found["io.baqup.schema"]
    try:
        labelled = json.loads(text)
    except (TypeError, ValueError) as error:
        raise Violation(f"the label io.baqup.schema is no JSON: {error}") from error
    require(labelled == lab.agent.schema(), "the label io.baqup.schema is not the agent's schema")
    require("\n" not in text, "the label io.baqup.schema is not compact: it has several lines")


def _same_labels(found: dict[str, Any], said: dict[str, Any]) -> None:
    expected = {
        "io.baqup.agent": "true",
        "io.baqup.version": said.get("version"),
        "io.baqup.roles": ",".join(said.get("roles", [])),
    }
    if "stop_grace_seconds" in said and "io.baqup.stop_grace_seconds" in found:
        expected["io.baqup.stop_grace_seconds"] = str(said["stop_grace_seconds"])
    for name, value in expected.items():
        require(found[name] == value, f"the label {name} is {found[name]!r}, --info says {value!r}")
    require(found["io.baqup.type"], "the label io.baqup.type is empty")


@check(
    "contract/4/validate-good",
    rule="--validate takes a valid configuration with exit 0, writes nothing and leaves the bus "
    "alone.",
    source="Contract §8",
    how="--validate is run with a valid environment; its directories and the connections to its "
    "bus are looked at.",
    remedy="Check the configuration alone: create no directory and open no connection.",
)
def _validate_good(lab: Lab) -> None:
    run = lab.call("--validate")
    if run.exit_code() != 0:
        run.fail(f"--validate ended with {run.end_words()} for a valid configuration")
    require(not run.written(), "--validate wrote something", run.written())
    require(run.bus.accepted == 0, "--validate connected to the bus")


@check(
    "contract/5/required-missing",
    rule="A required variable that is not set is a configuration error: exit 64, and the "
    "variable is named.",
    source="Contract §2, §5",
    how="For each required variable, the job and --validate are run without it.",
    remedy="Check all of the configuration first; name each variable that is missing and exit 64.",
)
def _required_missing(lab: Lab) -> None:
    required = _required(lab)
    for name in required:
        _refused(lab.call("--validate", env={name: None}), name, f"without {name}")
    for name in required:
        _refused(lab.call(lab.agent.role, env={name: None}), name, f"without {name}")


def _required(lab: Lab) -> list[str]:
    """Return what the schema requires of every job; without one, what the contract does."""
    try:
        document = lab.agent.schema()
    except NotApplicable:
        return list(OWN_VARIABLES)
    said = document.get("required", ()) if isinstance(document, dict) else ()
    return sorted({*OWN_VARIABLES, *(name for name in said if name.startswith("BAQUP_"))})


@check(
    "contract/6/bad-value",
    rule="A value of the wrong type or outside its words is a configuration error: exit 64, and "
    "the variable is named.",
    source="Contract §2, §5",
    how="The job and --validate are run with a word for a number and with unknown words.",
    remedy="Read each value by its type; do not guess, and do not fall back to the default.",
)
def _bad_value(lab: Lab) -> None:
    known = lab.agent.variables()
    values = {name: bad for name, bad in _BAD_VALUES.items() if name in known} or {
        "BAQUP_JOB_TIMEOUT": "three"
    }
    for name, bad in values.items():
        _refused(lab.call("--validate", env={name: bad}), name, f"with {name}={bad}")
    name, bad = next(iter(values.items()))
    _refused(lab.call(lab.agent.role, env={name: bad}), name, f"with {name}={bad}")


@check(
    "contract/6/secret-never-echoed",
    rule="A configuration error never repeats the value of a secret.",
    source="Contract §2, §7",
    how="Every secret variable, and the password of a malformed bus URL, holds a canary while "
    "something else is wrong; the output is searched for it.",
    remedy="Say which variable is wrong and which rule it breaks, and never its value.",
)
def _secret_never_echoed(lab: Lab) -> None:
    canary = f"canary{lab.random.getrandbits(64):016x}"
    secrets = dict.fromkeys(lab.agent.secrets(), canary)
    url = f"redis://user:{canary}@127.0.0.1:port/0"
    for arguments in (("--validate",), (lab.agent.role,)):
        for env in ({**secrets, "BAQUP_JOB_TIMEOUT": "three"}, {"BAQUP_BUS_URL": url}):
            run = lab.call(*arguments, env=env)
            what = f"{arguments[0]} with {', '.join(env)} wrong"
            require_exit(run, _USAGE, what)
            require(canary not in run.output, f"{what}: the value of a secret is in the output")


@check(
    "contract/7/all-errors-at-once",
    rule="All errors of a configuration are reported together.",
    source="Contract §8",
    how="--validate is run with a missing variable and a bad value; both have to be named.",
    remedy="Collect every problem before you report any.",
)
def _all_errors_at_once(lab: Lab) -> None:
    wrong: dict[str, str | None] = {"BAQUP_STAGING_DIR": None, "BAQUP_JOB_TIMEOUT": "three"}
    if "BAQUP_AGENT_LOG_LEVEL" in lab.agent.variables():
        wrong["BAQUP_AGENT_LOG_LEVEL"] = "shouting"
    run = lab.call("--validate", env=wrong)
    require_exit(run, _USAGE, f"with {len(wrong)} variables wrong")
    unnamed = [name for name in wrong if name not in run.output]
    require(not unnamed, f"{len(wrong)} are wrong, {', '.join(unnamed)} not named", run.output)


@check(
    "contract/8/unknown-arguments",
    rule="An unknown role or flag, and no role at all, is a usage error: exit 64.",
    source="Contract §5, §8",
    how="The agent is run with a role and with a flag that do not exist, and without a role.",
    remedy="Let the parser of the command line exit with 64; many exit with 2 by themselves.",
)
def _unknown_arguments(lab: Lab) -> None:
    word = f"nothing-{uuid.UUID(int=lab.random.getrandbits(128)).hex[:8]}"
    for arguments in ((word,), (lab.agent.role, f"--{word}"), ()):
        run = lab.call(*arguments)
        shown = " ".join(arguments) or "nothing"
        require_exit(run, _USAGE, f"called with {shown}")
        faults = run.output_faults()
        require(faults, f"called with {shown}: it published all the same")


def _refused(run: Run, name: str, what: str) -> None:
    """Require that a run ended with 64 and named a variable."""
    shown = f"{run.command[-1]} {what}"
    require_exit(run, _USAGE, shown)
    require(name in run.output, f"{shown}: the variable is not named", run.output[:1000])


def _secret(part: dict[str, Any]) -> bool:
    return part.get("writeOnly") is True
