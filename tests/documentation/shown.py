"""Whether a program printed what a page shows.

A page shows one real run. What differs from run to run is alike for the comparison: durations,
sizes, checksums, process ids, points in time, seeds, the ends of agent ids, bars, measured figures
in the last cell of a table. In a shown line ``…`` stands for anything, and a line of ``…`` alone
for any number of lines.
"""

from __future__ import annotations

import re

_ALIKE = (
    (r"\| [\d., ]+(?:%| ms| KiB| MiB)? \|$", "| # |"),
    (r"sha256 [0-9a-f]+…?", "sha256 #"),
    (r"\b\d+(?:\.\d+)? (?:s|ms)\b", "# s"),
    (r"\b\d+(?:\.\d+)? (?:B|KiB|MiB|GiB)(?![a-z])", "# B"),
    (r"\b\d+ bytes\b", "# bytes"),
    (r"process \d+", "process #"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", "TIME"),
    (r"--seed \d+", "--seed #"),
    (r"\bagent-(\w+)-[0-9a-f]{6}\b", r"agent-\1-#"),
    (r"\b\d+%", "#%"),
    (r"[▏▎▍▌▋▊▉█]+", "█"),
    (r" {2,}", "  "),
)

#: Lines that depend on who runs the tests, and are in no page.
_OF_THIS_USER = re.compile(r"the agent runs as root")


def differences(shown: str, printed: str, *, any_order: bool = False) -> str | None:
    """Return in words how the two differ, None if they agree."""
    wanted, found = _lines(shown), _lines(printed)
    if any_order:
        wanted, found = sorted(wanted), sorted(found)
    pattern = "".join(_pattern(line) for line in wanted)
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in found)):
        return None
    return "shown:\n{}\nprinted:\n{}".format("\n".join(wanted), "\n".join(found))


def _pattern(line: str) -> str:
    if line.strip() == "…":
        return r"(?:.*\n)*?"
    return ".*".join(re.escape(part) for part in line.split("…")) + r"\n"


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    return [_alike(line) for line in lines if not _OF_THIS_USER.search(line)]


def _alike(line: str) -> str:
    for pattern, common in _ALIKE:
        line = re.sub(pattern, common, line)
    return line
