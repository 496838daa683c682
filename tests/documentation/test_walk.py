"""The walk through pages, walked through broken ones: each lie is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documentation.markdown import blocks_of
from tests.documentation.shown import differences
from tests.documentation.walk import PageError, Scene, Walk

SOUND = """\
Save this as `hello.py`:

```python
print("hello")
```

<!-- test: exit=3 -->
```console
python hello.py
exit 3
```

```text
hello
```
"""


def walked(page: str, folder: Path, *, long: bool = False) -> Walk:
    walk = Walk(Scene(folder), long=long)
    walk.through(page)
    return walk


def test_a_sound_page_is_walked_to_its_end(tmp_path: Path) -> None:
    """Its file is saved, its command carried out, its output compared."""
    walk = walked(SOUND, tmp_path)

    assert (walk.saved, walk.ran, walk.compared) == (["hello.py"], ["python hello.py"], 1)


@pytest.mark.parametrize(
    ("said", "instead", "told"),
    [
        ('print("hello")', "print(", "SyntaxError"),
        ("text\nhello", "text\nhallo", "printed:\nhello"),
        ("text\nhello", "text\nhello\nagain", "printed:\nhello"),
        ("exit=3", "exit=4", "exit code 3, not 4"),
        ("exit 3", "false\nexit 3", "exit code 1, not 3"),
        ("```console", "```shell", "nothing is known of ```shell"),
        ("python hello.py", "python other.py", "exit code 2, not 3"),
        ("<!-- test: exit=3 -->\n", "", "exit code 3, not 0"),
    ],
)
def test_what_a_page_says_wrongly_is_found(
    said: str, instead: str, told: str, tmp_path: Path
) -> None:
    """One wrong word is enough, and the line is named."""
    assert said in SOUND

    with pytest.raises(PageError, match=r"line \d+:") as refused:
        walked(SOUND.replace(said, instead, 1), tmp_path)
    assert told in str(refused.value)


def test_an_output_of_nothing_is_found(tmp_path: Path) -> None:
    """What is shown must have been printed by the command before it."""
    with pytest.raises(PageError, match="shows the output of no command"):
        walked("```text\nhello\n```\n", tmp_path)


def test_a_scene_that_fits_no_longer_is_found(tmp_path: Path) -> None:
    """What was said of a block that is no longer there would be forgotten in silence."""
    scene = Scene(tmp_path, notes={"python hallo.py": {"exit": "3"}})

    with pytest.raises(PageError, match=r"no block begins with 'python hallo\.py'"):
        Walk(scene).through(SOUND)


def test_an_unknown_note_is_refused() -> None:
    """A misspelt note would silently ask for nothing."""
    with pytest.raises(ValueError, match="the note 'exits' means nothing"):
        blocks_of("<!-- test: exits=3 -->\n```console\nfalse\n```\n")


def test_a_block_that_is_left_out_is_told_with_its_reason(tmp_path: Path) -> None:
    """Nor is its output compared; with --long it is carried out like any other."""
    page = "<!-- test: long -->\n```console\necho now\n```\n\n```text\nthen\n```\n"

    assert walked(page, tmp_path).left_out == {"echo now": "with --long"}
    with pytest.raises(PageError):
        walked(page, tmp_path, long=True)


def test_a_python_block_without_a_name_is_a_program(tmp_path: Path) -> None:
    """It fails the page when it fails, and an agent among them is asked for its description."""
    agent = "import sys\nclass A:\n    def main(): print(sys.argv)\n"

    assert walked(f"```python\n{agent}A.main()\n```\n\n```text\n…--info…\n```\n", tmp_path).compared
    with pytest.raises(PageError, match="exit code 1"):
        walked("```python\nraise ValueError\n```\n", tmp_path)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("took 0.3 s", "took 12.1 s"),
        ("a\n…\nz", "a\nb\nc\nz"),
        ("a\n…\nz", "a\nz"),
        ("job …, done", "job 7, done"),
        ("x.zst  58 B  sha256 bb0f…", "x.zst  1.2 KiB  sha256 ff00…"),
        ("agent-fs-f96acc", "agent-fs-000001"),
        ("| server CPU | 0.0% |", "| server CPU | 12.5% |"),
        ("listing  24 ms  4%  ▌█▏", "listing  2 ms  11%      ▉███▉"),
    ],
)
def test_what_differs_from_run_to_run_is_alike(shown: str, printed: str) -> None:
    """Durations, sizes, checksums, ids, and what a page leaves open."""
    assert differences(shown, printed) is None


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("exit 0", "exit 1"),
        ("2 notes", "3 notes"),
        ("a\n…\nz", "a\nb"),
        ("a\nb", "b\na"),
        ("a.b", "axb"),
        ("", "something"),
    ],
)
def test_what_matters_is_not_alike(shown: str, printed: str) -> None:
    """Exit codes, counts, order, and every letter."""
    told = differences(shown, printed)

    assert told is not None
    assert printed in told


def test_lines_may_be_told_to_come_in_any_order() -> None:
    """For programs that do several things at once."""
    assert differences("a\nb", "b\na", any_order=True) is None
    assert differences("a\nb", "b\nc", any_order=True) is not None
