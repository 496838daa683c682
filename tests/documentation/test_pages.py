"""Every code block of the README and of the pages in ``spec/`` is carried out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documentation.markdown import COMMANDS, SHOWN, WORDS, blocks_of, pages
from tests.documentation.scenes import scene_of
from tests.documentation.walk import Walk

PAGES = pages()

#: What a page may leave to others, beside what only --long carries out.
ACCEPTED = re.compile(
    r"with --long|held against \S+ by \S+|carried out as it stands by \S+|needs a container runtime"
    r"|needs zstd, which is absent"
)


@pytest.mark.timeout(600)  # many commands, of which each has a limit of its own
@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_does_what_it_says(name: str, tmp_path: Path, long: bool) -> None:
    """Each file is saved, each command carried out in order, each output compared."""
    text = PAGES[name].read_text("utf-8")

    with scene_of(name, tmp_path, text) as scene:
        walk = Walk(scene, long=long)
        walk.through(text)

    assert all(ACCEPTED.fullmatch(reason) for reason in walk.left_out.values())
    commands = [block for block in blocks_of(text) if block.language in COMMANDS]
    assert len(walk.ran) >= len(commands) - len(walk.left_out)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_has_no_block_of_a_kind_that_nothing_carries_out(name: str) -> None:
    """A block without a language holds no code, and shows how files lie."""
    kinds = {block.language for block in blocks_of(PAGES[name].read_text("utf-8"))}

    assert kinds - {""} <= COMMANDS | SHOWN


def test_what_is_left_to_a_container_runtime_is_so_for_that_reason() -> None:
    """Each such block runs docker or kubectl."""
    for name, path in PAGES.items():
        for block in blocks_of(path.read_text("utf-8")):
            if block.notes.get("not run", "").startswith("needs a container"):
                assert re.match(r"docker|kubectl", block.text), f"{name}:{block.line}"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_links_lead_somewhere(name: str) -> None:
    """A link within the project names a file that is there, and a heading that is in it."""
    text = re.sub(r"```.*?```", "", PAGES[name].read_text("utf-8"), flags=re.DOTALL)

    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, heading = target.partition("#")
        path = (PAGES[name].parent / file) if file else PAGES[name]
        assert path.exists(), f"{name} links to {target}"
        if heading:
            assert heading in _anchors(path.read_text("utf-8")), f"{name} links to {target}"


def _anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_every_note_is_known() -> None:
    """A comment for the tests that they do not understand would be passed over."""
    for path in PAGES.values():
        text = path.read_text("utf-8")
        noted = [block for block in blocks_of(text) if block.notes]

        assert text.count("<!-- test:") == len(noted)
        assert all(set(block.notes) <= WORDS for block in noted)
