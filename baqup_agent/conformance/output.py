"""A stream of an agent: read for ever, kept up to a cap, told line by line."""

from __future__ import annotations

from baqup_agent.conformance.timeline import Timeline

#: Bytes of a stream that are kept.
KEPT_BYTES = 8 << 20

#: Lines of a stream that the timeline tells.
_TOLD_LINES = 2_000

#: Bytes of a line after which it counts as one.
_LINE_BYTES = 1 << 20


class Output:
    """What an agent wrote to one stream.

    Args:
        name: ``stdout`` or ``stderr``.
        timeline: is told the lines.
    """

    def __init__(self, name: str, timeline: Timeline) -> None:
        self.name = name
        self._timeline = timeline
        self._kept = bytearray()
        self._rest = b""
        self._lines = 0

    @property
    def data(self) -> bytes:
        """What was kept."""
        return bytes(self._kept)

    @property
    def text(self) -> str:
        """The same as text."""
        return self.data.decode("utf-8", "replace")

    @property
    def lines(self) -> list[str]:
        """The lines that were kept, without their ends; the last one may have none."""
        *lines, rest = self.text.split("\n")
        return [*lines, rest] if rest else lines

    def take(self, data: bytes) -> None:
        """Take in what was read."""
        self._kept += data[: max(0, KEPT_BYTES - len(self._kept))]
        if self._lines >= _TOLD_LINES:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._tell(line)

    def end(self) -> None:
        """Tell what had no end of line."""
        if self._rest and self._lines < _TOLD_LINES:
            self._tell(self._rest)
        self._rest = b""

    def _tell(self, line: bytes) -> None:
        self._lines += 1
        if self._lines < _TOLD_LINES:
            self._timeline.add(self.name, line.decode("utf-8", "replace"))
        elif self._lines == _TOLD_LINES:
            self._timeline.add("note", f"further lines of {self.name} are not shown")
