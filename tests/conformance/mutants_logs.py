"""Agents that tell a wrong outcome each, and the checks that have to catch them."""

from __future__ import annotations

from tests.conformance.mutants import Mutant

OUTCOMES = (
    Mutant(
        "missing-source-is-a-wrong-configuration",
        ("logs/45/source-missing",),
        'Failed(69, "SOURCE_UNAVAILABLE", "transient", f"no directory {source}")',
        'Failed(64, "CONFIG_INVALID", "config", f"no directory {source}")',
    ),
    Mutant(
        "missing-source-is-permanent",
        ("logs/45/source-missing",),
        'Failed(69, "SOURCE_UNAVAILABLE", "transient", f"no directory {source}")',
        'Failed(69, "SOURCE_UNAVAILABLE", "permanent", f"no directory {source}")',
    ),
    Mutant(
        "network-taken-for-a-disk",
        ("logs/45/fault-codes",),
        'known = Failed(69, "SOURCE_UNAVAILABLE", "transient", str(error))',
        'known = Failed(74, "IO_ERROR", "transient", str(error))',
    ),
    Mutant(
        "disk-taken-for-a-bug",
        ("logs/45/fault-codes",),
        'known = Failed(74, "IO_ERROR", "transient", str(error))',
        'known = Failed(70, "INTERNAL_ERROR", "internal", str(error))',
        beside=("storage/39/output-impossible",),
    ),
    Mutant(
        "bug-without-its-code",
        ("logs/45/fault-codes",),
        'Failed(70, "INTERNAL_ERROR", "internal", repr(error))',
        'Failed(1, "GENERAL_FAILURE", "transient", repr(error))',
    ),
    Mutant(
        "bad-data-may-pass",
        ("logs/45/fault-codes",),
        'Failed(65, "DATA_INVALID", "permanent", "no table of contents")',
        'Failed(65, "DATA_INVALID", "transient", "no table of contents")',
    ),
    Mutant(
        "status-of-another-code",
        ("logs/47/one-outcome",),
        "            exit_code=exit_code,\n        )",
        "            exit_code=min(exit_code, 1) if error else exit_code,\n        )",
    ),
    Mutant(
        "log-of-another-code",
        ("logs/47/one-outcome",),
        '"the end", exit_code=exit_code)',
        '"the end", exit_code=0)',
    ),
    Mutant(
        "orphan-of-another-code",
        ("logs/47/one-outcome",),
        "        job.leave_orphan(exit_code, error)",
        "        job.leave_orphan(0, error)",
        beside=("outage/29/absent", "outage/31/down-in-completing"),
    ),
    Mutant(
        "silent-failure",
        ("logs/47/one-outcome",),
        '    log("error" if exit_code else "info", "the end"',
        '    log("info", "the end"',
    ),
    Mutant(
        "process-of-another-code",
        ("logs/45/source-missing", "logs/45/fault-codes", "logs/47/one-outcome", "logs/48/partial"),
        '    log("error" if exit_code else "info", "the end", exit_code=exit_code)\n'
        "    return exit_code",
        '    log("error" if exit_code else "info", "the end", exit_code=exit_code)\n'
        "    return min(exit_code, 1)",
        beside=("storage/39/output-impossible",),
    ),
    Mutant(
        "partial-without-why",
        ("logs/47/one-outcome", "logs/48/partial"),
        ', "error": {"code": "LEDGER_CLOSED"}',
        "",
    ),
    Mutant(
        "partial-without-its-code",
        ("logs/45/fault-codes", "logs/48/partial"),
        '"fail": (76, "partial")',
        '"fail": (0, "partial")',
        beside=("logs/47/one-outcome",),
    ),
    Mutant(
        "warn-taken-for-fail",
        ("logs/48/partial",),
        '"warn": (0, "partial")',
        '"warn": (76, "partial")',
    ),
    Mutant(
        "skipped-called-failed",
        ("logs/48/partial",),
        'left = "skipped" if mode == "skip" else "failed"',
        'left = "failed"',
    ),
    Mutant(
        "partial-miscounted",
        ("logs/48/partial",),
        '{"total": 2, "succeeded": 1,',
        '{"total": 3, "succeeded": 1,',
    ),
    Mutant(
        "part-without-its-artifact",
        ("logs/48/partial",),
        '"status": "succeeded", "artifact": "data.tar"',
        '"status": "succeeded", "artifact": "ledger.tar"',
    ),
)
