"""Redaction in the most obvious way, to hold the quick one against."""

from __future__ import annotations

from collections.abc import Iterable


def blanked(text: str, forms: Iterable[str]) -> str:
    """Mark each character that lies within an occurrence, and replace each run of marks.

    Occurrences that merely touch are told apart, as they are two secrets in a row.
    """
    cuts = []
    for at in range(len(text)):
        ends = [at + len(form) for form in forms if text.startswith(form, at)]
        if ends and cuts and at < cuts[-1][1]:
            cuts[-1] = (cuts[-1][0], max(cuts[-1][1], *ends))
        elif ends:
            cuts.append((at, max(ends)))
    for begin, end in reversed(cuts):
        text = f"{text[:begin]}[REDACTED]{text[end:]}"
    return text
