"""Exclusion patterns leave out what git would leave out, and nothing else."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from baqup_agent.agents.fs.excludes import Excluded, compile_excludes
from baqup_agent.agents.fs.selection import compile_only
from baqup_agent.errors import ConfigError
from tests.agents.fs.jobs import Jobs
from tests.lacking import command

LEAVES = ["a", "b", "c", "dir", "keep", "a.txt", "x.log", "a b", "a ", "!a", "#a", "[a]", "a-b",
          "A", "a\\b", ".h", "a\nb"]  # fmt: skip
#: What patterns are put together from. Left out is where git's code differs from its documentation:
#: "a**", which after a plain beginning crosses slashes, and names with characters of many bytes.
PARTS = ["a", "b", "c", "dir", "keep", "a.txt", "x.log", "*", "*", "**", "**", "*.txt", "*.log",
         "?", "??", "a*", "*a", "*b*", "a?b", ".*", "*.t?t", "[a-c]", "[!a]*", "[^a]", "[A-C]",
         "[[:alpha:]]*", "[[:punct:][:space:]]a", "[![:upper:]]", "a[!x]b", "[]-a]*", "[a\\-]*",
         "[/]", "a[/]b", "[c-a]", "[]]", "[]", "[a", "x[", "[a-", "\\!a", "\\#a", "\\[a\\]", "\\a",
         "a\\\\b", "!a", "#a", "a\\ ", "a ", "a  ", "a//b", ""]  # fmt: skip


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        (["*", "!*/", "!*.txt"], {"docs/important.txt", "docs/old/y.txt"}),
        (["docs/**", "!docs/important.txt"], {"a.log", "docs/important.txt"}),
        (["docs/**", "!docs/old/", "!docs/old/y.txt"], {"a.log", "docs/old/y.txt"}),
        (["docs/**/"], {"a.log", "docs/important.txt"}),
        (["**/docs/**", "!*.txt"], {"a.log", "docs/important.txt"}),
        (["*/"], {"a.log"}),
        (["**/"], {"a.log"}),
        (["docs[!x]old"], {"a.log", "docs/important.txt", "docs/old/x.log", "docs/old/y.txt"}),
        (["docs/[[:alpha:]]*.txt"], {"a.log", "docs/old/x.log", "docs/old/y.txt"}),
    ],
    ids=lambda value: " ".join(sorted(value)),
)
def test_a_directory_is_entered_for_what_is_taken_back_in_it(
    jobs: Jobs, source: Path, target: Path, patterns: list[str], kept: set[str]
) -> None:
    """What a pattern says of a directory's contents is not taken for a word on the directory."""
    for name in ("a.log", "docs/important.txt", "docs/old/x.log", "docs/old/y.txt"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()

    jobs.restore(jobs.snapshot(source, exclude=patterns), target)

    assert {str(file.relative_to(target)) for file in target.rglob("*.*")} == kept


@pytest.mark.parametrize(
    "patterns", [(), ("",), ("# a comment",), ("/", "//"), ("!*.txt",), ("[a", "x["), ("  ",)]
)
def test_patterns_that_leave_nothing_out_are_not_asked(patterns: Sequence[str]) -> None:
    """A walk need not ask about every file where nothing can be left out."""
    assert compile_excludes(patterns) is None


@pytest.mark.parametrize("pattern", ["!", "a\\", "dir/a\\/"])
@pytest.mark.parametrize(
    ("compiled", "variable"),
    [(compile_excludes, "BAQUP_SOURCE_EXCLUDE"), (compile_only, "BAQUP_TARGET_ONLY")],
)
def test_a_malformed_pattern_is_told(
    compiled: Callable[[Sequence[str]], object], variable: str, pattern: str
) -> None:
    """The error names the variable and the pattern."""
    with pytest.raises(ConfigError) as caught:
        compiled(["*.txt", pattern])
    assert f"{variable} has a pattern that is none: {pattern!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("patterns", "picked"),
    [
        (["a/**/"], {"a/b/", "a/b/x.txt", "a/b/c/", "a/b/c/y.log"}),
        (["*/"], {"a/", "a/x.txt", "a/b/", "a/b/x.txt", "a/b/c/", "a/b/c/y.log"}),
        (["a/**"], {"a/x.txt", "a/b/", "a/b/x.txt", "a/b/c/", "a/b/c/y.log"}),
        (["a", "!*/"], set()),
        (["/a/", "!b/", "*.log"], {"a/", "a/x.txt", "a/b/c/y.log", "z.log"}),
        (["a[!x]b"], set()),
    ],
    ids=lambda value: " ".join(sorted(value)),
)
def test_a_restore_picks_by_the_same_patterns(patterns: list[str], picked: set[str]) -> None:
    """What no pattern names goes with the directory that it stands in."""
    wanted = compile_only(patterns)
    assert wanted is not None
    tree = ["a/", "a/x.txt", "a/b/", "a/b/x.txt", "a/b/c/", "a/b/c/y.log", "z.log"]

    found = {name for name in tree if wanted(name.rstrip("/").encode(), name.endswith("/"))}

    assert found == picked


class Repository:
    """Files that git and the patterns are asked about."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self._git("init", "--quiet")
        choice = random.Random(seed).choice
        folders = [root]
        for _ in range(12):
            folder = choice(folders) / choice(LEAVES[:9])
            if len(folder.relative_to(root).parts) < 4 and folder not in folders:
                folder.mkdir()
                folders.append(folder)
        for _ in range(60):
            file = choice(folders) / choice(LEAVES)
            if not file.exists():
                file.touch()

    def kept_by_git(self, patterns: Sequence[str]) -> set[str]:
        """Return the files that git does not ignore."""
        rules = self.root / ".git" / "patterns"  # a pipe would be taken for an empty file
        rules.write_text("\n".join(patterns) + "\n")
        listed = self._git("ls-files", "-z", "--others", "-X", str(rules))
        return {os.fsdecode(name) for name in listed.split(b"\0") if name}

    def kept_by_us(self, excluded: Excluded | None) -> set[str]:
        """Return the files that a walk finds."""
        return set(self._walk(self.root, excluded))

    def _walk(self, folder: Path, excluded: Excluded | None) -> Iterator[str]:
        for entry in folder.iterdir():
            name = str(entry.relative_to(self.root))
            if name == ".git" or (excluded and excluded(os.fsencode(name), entry.is_dir())):
                continue
            if entry.is_dir():
                yield from self._walk(entry, excluded)
            else:
                yield name

    def _git(self, *arguments: str) -> bytes:
        alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        inherited = {key: value for key, value in os.environ.items() if key[:4] != "GIT_"}
        done = subprocess.run(
            [command("git"), *arguments], cwd=self.root, env=inherited | alone, check=True,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        return done.stdout


def random_patterns(seed: int) -> list[str]:
    """Return a few patterns that git has a meaning for."""
    source = random.Random(seed)
    patterns: list[str] = []
    for _ in range(source.randint(1, 4)):
        pattern = "/".join(source.choice(PARTS) for _ in range(source.choice([1, 1, 1, 2, 2, 3])))
        pattern = source.choice(["", "", "", "/"]) + pattern + source.choice(["", "", "/"])
        if source.random() < 0.35:
            pattern = "!" + pattern
        # An empty "!" is refused here, and means nothing to git.
        patterns.append(pattern if pattern.strip(" ") != "!" else "!a")
    return patterns


def test_git_agrees_on_random_patterns(tmp_path: Path, *, long: bool) -> None:
    """Whatever is in a list of patterns, the files that are kept are those that git keeps."""
    for tree in range(20 if long else 2):
        root = tmp_path / str(tree)
        root.mkdir()
        repository = Repository(root, tree)
        for seed in range(tree * 1000, tree * 1000 + (300 if long else 75)):
            patterns = random_patterns(seed)
            kept = repository.kept_by_us(compile_excludes(patterns))
            assert kept == repository.kept_by_git(patterns), patterns
