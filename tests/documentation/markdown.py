"""The code blocks of a page, and what stands around each of them.

A note for the tests stands in a comment right above a block, unseen by readers::

    <!-- test: exit=64 -->

Its words: ``exit=N``, the exit code to expect; ``any order``, of the lines that are shown;
``follow``, a program that never ends by itself and is ended after its first line; ``long``, with
``--long`` alone; ``pytest``, tests; ``not run=REASON``. Several are separated by semicolons. A file
takes its name from the text: "Save it as `NAME`" before the block, or right after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import Factory, evolve, frozen

_BLOCK = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NOTE = re.compile(r"<!-- test: (.*?) -->\s*\Z", re.DOTALL)
_SAVE = r"[Ss]aved?(?: it| this| them)? as `([^`]+)`"

#: Languages of blocks that are carried out as they stand.
COMMANDS = frozenset({"console"})

#: Languages of blocks that show what the command before them prints, or are the content of a file.
SHOWN = frozenset({"text", "json", "mermaid", "toml", "ini", "bash", "python"})

#: The words of a note.
WORDS = frozenset({"exit", "any order", "follow", "long", "pytest", "not run"})


@frozen
class Block:
    """One block.

    Attributes:
        language: the word behind the fence.
        text: what stands in it.
        line: where it begins.
        file: the name under which the page has the reader save it.
        notes: what the tests are told of it.
    """

    language: str
    text: str
    line: int = 0
    file: str | None = None
    notes: Mapping[str, str] = Factory(dict)

    @property
    def title(self) -> str:
        """The first line of it."""
        return self.text.partition("\n")[0]


def blocks_of(page: str) -> list[Block]:
    """Return the blocks in order.

    Raises:
        ValueError: a note has a word that means nothing.
    """
    return list(_blocks(page))


def _blocks(page: str) -> Iterator[Block]:
    end = 0
    for match in _BLOCK.finditer(page):
        before, after = page[end : match.start()], page[match.end() :]
        language, text = match.groups()
        line = page.count("\n", 0, match.start()) + 1
        block = Block(language, text, line, notes=_notes(before, line))
        yield block if language == "console" else evolve(block, file=_file(before, after))
        end = match.end()


def _notes(before: str, line: int) -> dict[str, str]:
    note = _NOTE.search(before)
    if note is None:
        return {}
    notes = {}
    for part in note[1].split(";"):
        word, _, value = part.strip().partition("=")
        if word not in WORDS:
            raise ValueError(f"line {line}: the note {word!r} means nothing; there are {WORDS}")
        notes[word] = " ".join(value.split())
    return notes


def _file(before: str, after: str) -> str | None:
    paragraph = re.split(r"\n\s*\n", _NOTE.sub("", before).rstrip())[-1]
    if (named := re.search(_SAVE, paragraph)) is not None and not paragraph.startswith("Saved"):
        return named[1]
    following = re.match(r"\s*" + _SAVE, after)
    return following[1] if following else None


#: The files whose blocks are carried out.
ROOT = Path(__file__).parents[2]


def pages() -> dict[str, Path]:
    """Return every page of the documentation by its name below the project."""
    found = [ROOT / "README.md", *sorted((ROOT / "spec").rglob("*.md"))]
    return {str(path.relative_to(ROOT)): path for path in found}
