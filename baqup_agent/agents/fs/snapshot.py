"""The role ``snapshot``: a directory becomes ``data.tar``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from baqup_agent.agents.fs.anomalies import Anomalies, Anomaly
from baqup_agent.agents.fs.archiving import Archiving
from baqup_agent.agents.fs.excludes import compile_excludes
from baqup_agent.agents.fs.incidents import Incidents
from baqup_agent.agents.fs.links import LinkPolicy
from baqup_agent.agents.fs.meter import Meter
from baqup_agent.agents.fs.outlook import FIRST_LOOK_S, Outlook
from baqup_agent.agents.fs.places import check_apart, open_source
from baqup_agent.agents.fs.walk import Rules, Walk
from baqup_agent.errors import DataError
from baqup_agent.security.beneath import Tree
from baqup_agent.security.member import printable
from baqup_agent.staging.archive import ArchiveWriter

if TYPE_CHECKING:
    from baqup_agent import Job
    from baqup_agent.agents.fs.leaves import Leaves

#: The artifact's name before compression appends its suffix.
ARTIFACT = "data.tar"

#: What sealing manages on a slow disk, for the time that the intent announces.
_SLOW_BYTES_PER_S = 50_000_000


def snapshot(job: Job[Leaves]) -> None:
    """Archive ``BAQUP_SOURCE_PATH``.

    Raises:
        ConfigError: source and staging lie in each other, or a pattern is malformed.
        SourceUnavailable: the source is no directory that can be read.
        LimitExceeded: it holds more than the limits allow.
        DataError: the policy refuses a link in it, or that it is unusual.
        IOFailure: reading or writing failed, or the policy refuses that a file cannot be read.
    """
    source: Path = job.config["BAQUP_SOURCE_PATH"]
    check_apart("BAQUP_SOURCE_PATH", source, "BAQUP_STAGING_DIR", job.config["BAQUP_STAGING_DIR"])
    with job.span("agent.connect_source"):
        root = open_source(source)
    incidents = Incidents(job, job.config["BAQUP_SOURCE_UNREADABLE"])
    try:
        with _part(job, ARTIFACT, vital=True), Tree(root) as link_tree:
            rules = _rules(job, source, link_tree)
            with (
                Tree(root) as tree,
                Tree(root) as ahead,
                Walk(tree, rules, incidents, job.cancellation.check) as walk,
                Outlook(ahead, rules) as outlook,
            ):
                outlook.look(FIRST_LOOK_S)
                job.lifecycle.scanned()
                _archive(job, walk, outlook, incidents, source)
        with _part(job, "access to everything"):
            if _is_partial(job):
                incidents.require_readable()
    finally:
        os.close(root)


def _archive(
    job: Job[Leaves], walk: Walk, outlook: Outlook, incidents: Incidents, source: Path
) -> None:
    """Write the artifact, and tell what is in it."""
    wanted = job.config["BAQUP_SOURCE_ANOMALY"]
    anomalies = None if wanted == "ignore" else Anomalies()
    with ExitStack() as until_sealed, job.staging.artifact(ARTIFACT) as out:
        archive = ArchiveWriter(out)
        meter = Meter(job, outlook)
        archiving = Archiving(job, archive, walk, incidents, meter, anomalies)
        archiving.run()
        archive.close()
        found = (
            []
            if anomalies is None
            else list(anomalies.found(archiving.regular_files, archiving.empty_files))
        )
        _judge(job, found, wanted)
        job.lifecycle.archived()
        expected_s = 10 + out.bytes_out / _SLOW_BYTES_PER_S
        until_sealed.enter_context(
            job.intent("seal_artifact", expected_duration_s=expected_s, detail=out.name)
        )
    meter.finish()
    _describe(job, walk, meter, incidents, found, source)


def _judge(job: Job[Leaves], anomalies: list[Anomaly], wanted: str) -> None:
    refused = [each for each in anomalies if wanted == "fail" or (wanted == "auto" and each.grave)]
    for each in anomalies:
        severity = "error" if each in refused else "warn"
        job.event("ANOMALY_DETECTED", severity=severity, message=each.text)
    if refused:
        raise DataError(
            f"the source is unusual: {'; '.join(each.text for each in refused)}; look at it, or "
            f"set BAQUP_SOURCE_ANOMALY=warn, which is {wanted!r}, if it is meant to be so",
            code="ANOMALY_DETECTED",
        )


def _describe(
    job: Job[Leaves],
    walk: Walk,
    meter: Meter,
    incidents: Incidents,
    anomalies: list[Anomaly],
    source: Path,
) -> None:
    job.metadata(
        type="filesystem",
        path=printable(os.fsencode(source)),
        files_included=meter.files,
        files_excluded=walk.excluded,
        total_bytes_source=meter.bytes,
    )
    if trouble := incidents.to_wire():
        job.metadata(incidents=trouble)
    if anomalies:
        job.metadata(anomalies=[each.text for each in anomalies])
    job.log.info("source archived", files=meter.files, excluded=walk.excluded, bytes=meter.bytes)


@contextmanager
def _part(job: Job[Leaves], name: str, *, vital: bool = False) -> Iterator[None]:
    """A component of the job where a refused file makes it fail in part, else nothing.

    Args:
        job: the job.
        name: the component's name.
        vital: whether nothing is left without it: its failure is then the job's own.
    """
    if not _is_partial(job):
        yield
        return
    failure: Exception | None = None
    with job.component(name):
        try:
            yield
        except Exception as error:
            failure = error
            raise
    if vital and failure is not None:  # the component has noted it, and kept it to itself
        raise failure


def _is_partial(job: Job[Leaves]) -> bool:
    return bool(job.config["BAQUP_SOURCE_UNREADABLE"] == "partial")


def _rules(job: Job[Leaves], source: Path, tree: Tree) -> Rules:
    config = job.config
    return Rules(
        links=LinkPolicy(config["BAQUP_SOURCE_FOLLOW_SYMLINKS"], os.fsencode(source), tree),
        spill_dir=config["BAQUP_STAGING_DIR"],
        excluded=compile_excludes(config.get("BAQUP_SOURCE_EXCLUDE") or ()),
        max_files=config["BAQUP_SOURCE_MAX_FILES"],
        max_depth=config["BAQUP_SOURCE_MAX_DEPTH"],
        one_file_system=config["BAQUP_SOURCE_ONE_FILE_SYSTEM"],
    )
