"""Walks through a page as its reader would: saves its files, runs its commands, looks at output."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from attrs import Factory, define, frozen

from tests.documentation.markdown import COMMANDS, ROOT, SHOWN, Block, blocks_of
from tests.documentation.shown import differences

#: Longest time, in seconds, that one block may take.
_PATIENCE_S = 170.0

#: The home of the reader whom the pages tell of.
HOME = "/home/ada"


class PageError(AssertionError):
    """A page does not hold what it says."""


@frozen
class Scene:
    """What a page takes for granted.

    Attributes:
        folder: where the reader is.
        environ: variables beyond those of this process.
        instead: for words of the page, such as the port of a server, what stands for them here.
        before: for the first line of a block, the commands that make what it needs.
        notes: for the first line of a block, notes as in `tests.documentation.markdown`.
    """

    folder: Path
    environ: Mapping[str, str] = Factory(dict)
    instead: Mapping[str, str] = Factory(dict)
    before: Mapping[str, str] = Factory(dict)
    notes: Mapping[str, Mapping[str, str]] = Factory(dict)


@define(slots=False)
class Walk:
    """One walk through one page.

    Attributes:
        scene: what the page takes for granted.
        long: whether blocks that take long are carried out too.
        ran: the first lines of the blocks that were carried out.
        left_out: the first lines of those that were not, with the reason.
        saved: the names of the files.
        compared: how many shown outputs were held against a real one.
    """

    scene: Scene
    long: bool = False
    ran: list[str] = Factory(list)
    left_out: dict[str, str] = Factory(dict)
    saved: list[str] = Factory(list)
    compared: int = 0
    _printed: str | None = None
    _any_order: bool = False
    _unknown: bool = False

    def through(self, page: str) -> None:
        """Carry out every block.

        Raises:
            PageError: one fails, or prints something else than is shown.
        """
        blocks = blocks_of(page)
        known = {block.title for block in blocks}
        for told in (*self.scene.before, *self.scene.notes):
            if told not in known:
                raise PageError(f"line 1: no block begins with {told!r}; mend its scene")
        for block in blocks:
            self._step(block, {**block.notes, **self.scene.notes.get(block.title, {})})

    def _step(self, block: Block, notes: Mapping[str, str]) -> None:
        reason = notes.get("not run") or ("long" in notes and not self.long and "with --long")
        if reason:
            self.left_out[block.title], self._printed = str(reason), None
            self._unknown = True
        elif block.language in COMMANDS:
            self._execute(block, notes, self._here(block.text))
        elif block.file is not None:
            self._save(block)
        elif block.language == "python":
            self._python(block, notes)
        elif block.language in SHOWN:
            self._compare(block)
        elif block.language:
            raise PageError(f"line {block.line}: nothing is known of ```{block.language}")

    def _save(self, block: Block) -> None:
        assert block.file is not None
        path = self.scene.folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._here(block.text))
        path.chmod(0o755)
        self.saved.append(block.file)
        if block.language == "python" and ".main()" in block.text:
            self._execute(block, {}, f"python {block.file} --info")
        self._printed = None

    def _python(self, block: Block, notes: Mapping[str, str]) -> None:
        name = f"{'test_' if 'pytest' in notes else ''}block_{block.line}.py"
        (self.scene.folder / name).write_text(self._here(block.text))
        if "pytest" in notes:
            self._execute(block, notes, f"python -m pytest -q -p no:cacheprovider {name}")
        elif "follow" in notes:
            self._follow(block, name)
        else:
            about = " --info" if ".main()" in block.text else ""
            self._execute(block, notes, f"python {name}{about}")

    def _execute(self, block: Block, notes: Mapping[str, str], command: str) -> None:
        before = self.scene.before.get(block.title)
        if before is not None:
            self._run(block, self._here(before), 0)
        self._printed = self._run(block, command, int(notes.get("exit", 0)))
        self._any_order, self._unknown = "any order" in notes, False
        self.ran.append(block.title)

    def _run(self, block: Block, command: str, expected: int) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.scene.folder,
            env=self._environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        if done.returncode != expected:
            raise PageError(
                f"line {block.line}: exit code {done.returncode}, not {expected}, of\n"
                f"{command}\n{done.stdout}"
            )
        return self._there(done.stdout)

    def _follow(self, block: Block, name: str) -> None:
        """Start what never ends by itself, carry out what it waits for, and read a line of it."""
        with subprocess.Popen(
            [sys.executable, "-u", name],
            cwd=self.scene.folder,
            env=self._environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                self._run(block, self._here(self.scene.before[block.title]), 0)
                assert process.stdout is not None
                first = process.stdout.readline()
            finally:
                process.send_signal(signal.SIGINT)
        if not first or first.startswith("Traceback"):
            raise PageError(f"line {block.line}: it printed {first!r}")
        self._printed, self._unknown = None, False
        self.ran.append(block.title)

    def _compare(self, block: Block) -> None:
        if self._printed is None and self._unknown:
            return  # what it belongs to was left out
        if self._printed is None:
            raise PageError(f"line {block.line}: it shows the output of no command")
        difference = differences(block.text, self._printed, any_order=self._any_order)
        if difference is not None:
            raise PageError(f"line {block.line}: {difference}")
        self.compared += 1
        self._printed = None

    # -- between the page's world and this one ------------------------------------------------

    def _environ(self) -> dict[str, str]:
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("BAQUP_", "PYTEST_"))}
        programs = (*self.scene.environ.get("PATH", "").split(), str(Path(sys.executable).parent))
        return {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "NO_COLOR": "1",
            "COLUMNS": "100",
            **self.scene.environ,
            "PATH": os.pathsep.join((*programs, inherited.get("PATH", os.defpath))),
        }

    def _here(self, text: str) -> str:
        for word, here in {**self.scene.instead, HOME: str(self.scene.folder)}.items():
            text = text.replace(word, here)
        return text

    def _there(self, text: str) -> str:
        for word, here in {**self.scene.instead, HOME: str(self.scene.folder)}.items():
            if re.search(r"\w", here):
                text = text.replace(here, word)
        return text
