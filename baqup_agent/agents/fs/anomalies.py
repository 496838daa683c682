"""Patterns in a source that hardly anybody would back up on purpose (Contract §7).

==============  ===========================================================  ======================
pattern         what is counted                                              told from
==============  ===========================================================  ======================
empty           files without content                                        99 % of 1,000 files
scrambled       files that do not compress at all, under suffixes that are   90 % of 64 samples
                not of compressed or encrypted formats
renamed         files that got one more suffix behind their own, all the     95 % of 1,000 files
                same, and not that of a compressed or encrypted format
==============  ===========================================================  ======================

The first is what an application leaves behind that was interrupted, or a mount that is not there;
it ends the job unless the policy says otherwise. The other two are what extortion software does to
files, and are told: an archive of them may be all that there is. One file in eight is looked at for
them, whose counts are multiplied; of those, after the first 64, one in eight has the first 4 KiB of
its content compressed, at most 512 in all. Names without a suffix are not judged by their content:
object stores, git's among them, keep compressed data under such.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

#: Files from which on names and sizes are judged.
MIN_FILES = 1000

#: Shares from which on a pattern is told.
EMPTY_SHARE, SCRAMBLED_SHARE, RENAMED_SHARE = 0.99, 0.90, 0.95

#: Samples of content from which on they are judged, and the most that are taken.
MIN_SAMPLES, MOST_SAMPLES = 64, 512

#: One file in so many is looked at; a power of two.
EVERY = 8

#: Bytes of a sample, and the share of them that is left where nothing can be compressed.
SAMPLE_BYTES, INCOMPRESSIBLE = 4096, 0.99

#: Different suffixes that are counted.
_MOST_SUFFIXES = 256

#: Suffixes of formats whose content is compressed or encrypted as a matter of course.
PACKED = frozenset(
    b"""7z aac age apk arw avi avif bin br bz2 cr2 crx dat deb dmg docx ear egg enc epub flac
    flv gif gpg gz heic heif idx img ipa iso jar jpeg jpg jxl kdbx key lz lz4 lzma lzo m4a m4v
    mkv mov mp3 mp4 mpeg mpg msi nef npz odp ods odt ogg opus pack parquet pdf pgp png pptx rar
    rpm squashfs sst tgz tink txz vdi vhdx vmdk war webm webp whl wma wmv woff woff2 xlsx xz
    zip zst zstd""".split()
)


class Anomaly(NamedTuple):
    """A pattern that holds.

    Attributes:
        text: one line for people.
        grave: whether it ends the job unless the policy says otherwise.
    """

    text: str
    grave: bool = False


class Anomalies:
    """Looks at the files of one source as they pass by."""

    def __init__(self) -> None:
        self._looked_at = 0
        self._suffixes: Counter[bytes] = Counter()
        self._samples = 0
        self._scrambled = 0

    def look(self, name: bytes, fd: int, size: int) -> None:
        """Look at a file; to be called for one in `EVERY`.

        Args:
            name: its name.
            fd: its descriptor; the position is left alone.
            size: its size, bytes.
        """
        self._looked_at += 1
        stem, dot, suffix = name.rpartition(b"/")[2].rpartition(b".")
        if not dot or not stem or suffix.lower() in PACKED:
            return
        if b"." in stem.strip(b"."):
            self._count(suffix)
        if size >= SAMPLE_BYTES and self._is_due():
            self._sample(fd)

    def found(self, files: int, empty: int) -> Iterator[Anomaly]:
        """Yield each pattern that holds.

        Args:
            files: how many passed by.
            empty: how many of them had no content.
        """
        if files >= MIN_FILES and empty >= EMPTY_SHARE * files:
            yield Anomaly(f"{empty} of {files} files are empty", grave=True)
        if self._samples >= MIN_SAMPLES and self._scrambled >= SCRAMBLED_SHARE * self._samples:
            yield Anomaly(
                f"{self._scrambled} of {self._samples} files that were sampled do not compress, "
                "though their names promise it; they may have been encrypted by somebody"
            )
        suffix, count = next(iter(self._suffixes.most_common(1)), (b"", 0))
        if files >= MIN_FILES and count >= max(RENAMED_SHARE * self._looked_at, 1):
            share = round(100 * count / self._looked_at)
            text = suffix.decode("utf-8", "replace")
            yield Anomaly(f"{share} % of {files} files got the second suffix {text!r}; was it you?")

    def _count(self, suffix: bytes) -> None:
        if suffix in self._suffixes or len(self._suffixes) < _MOST_SUFFIXES:
            self._suffixes[suffix] += 1

    def _is_due(self) -> bool:
        early = self._samples < MIN_SAMPLES
        return early or (self._samples < MOST_SAMPLES and self._looked_at % EVERY == 0)

    def _sample(self, fd: int) -> None:
        try:
            data = os.pread(fd, SAMPLE_BYTES, 0)
        except OSError:
            return  # the one that archives the file tells of it
        if len(data) == SAMPLE_BYTES:
            self._samples += 1
            self._scrambled += len(zlib.compress(data, 1)) >= INCOMPRESSIBLE * len(data)
