"""Agents that break a rule of staging each, and the checks that have to catch them."""

from __future__ import annotations

from tests.conformance.mutants import Mutant

_MOVES = '        for name in ("data.tar", "manifest.json"):'
_MOVE = "            os.rename(os.path.join(self.work, name), os.path.join(self.directory, name))"
_SYNCED = "            sync(self.directory)\n"
_MADE = "            os.makedirs(self.work)"
_EMPTIED = "            shutil.rmtree(self.directory, ignore_errors=True)\n" + _MADE

PUBLICATION = (
    Mutant(
        "manifest-first",
        ("storage/36/kill-sweep", "storage/41/manifest-last"),
        _MOVES,
        '        for name in ("manifest.json", "data.tar"):\n            time.sleep(0.5)',
        beside=("storage/42/synced", "lifecycle/13/completing-too-long"),
    ),
    Mutant(
        "success-before-the-manifest",
        ("storage/37/kill-before-the-manifest",),
        _MOVES,
        "        self.report(0, None, 5)\n" + _MOVES + "\n            time.sleep(0.5)",
        beside=("storage/36/kill-sweep",),
    ),
    Mutant(
        "terminated-before-the-manifest",
        ("storage/37/kill-before-the-manifest",),
        _MOVES,
        '        self.bus.enter("terminated")\n        time.sleep(0.3)\n'
        + _MOVES
        + "\n            time.sleep(0.5)",
        beside=("lifecycle/9/order-of-states",),
    ),
    Mutant(
        "rerun-stumbles-over-leftovers",
        ("storage/38/rerun-after-a-kill",),
        _EMPTIED,
        _MADE,
    ),
    Mutant(
        "rerun-publishes-leftovers",
        ("storage/38/rerun-after-a-kill",),
        _EMPTIED,
        '            rest = os.path.join(self.work, "left-over.part")\n'
        "            os.path.exists(rest) and os.rename(\n"
        '                rest, os.path.join(self.directory, "left-over.part")\n'
        "            )\n"
        "            shutil.rmtree(self.work, ignore_errors=True)\n"
        "            os.makedirs(self.work)",
    ),
    Mutant(
        "rerun-goes-on-where-it-was",
        ("storage/38/rerun-after-a-kill",),
        _EMPTIED,
        '            old = os.path.join(self.work, "data.tar")\n'
        '            kept = open(old, "rb").read() if os.path.exists(old) else b""\n'
        + _EMPTIED
        + "\n            close = tarfile.TarFile.close\n"
        "            tarfile.TarFile.close = lambda tar: (tar.fileobj.write(kept), close(tar))",
    ),
    Mutant(
        "forbidden-output-is-a-bug",
        ("storage/39/output-impossible",),
        'raise Failed(73, "CANT_CREATE_OUTPUT", "transient", str(error))',
        'raise Failed(70, "INTERNAL_ERROR", "internal", str(error))',
    ),
    Mutant(
        "failed-output-goes-unreported",
        ("storage/39/output-impossible",),
        'raise Failed(73, "CANT_CREATE_OUTPUT", "transient", str(error)) from error',
        "os._exit(73)",
    ),
    Mutant(
        "manifest-made-in-its-place",
        ("storage/41/manifest-last",),
        _MOVE,
        '            place = shutil.move if name == "data.tar" else shutil.copyfile\n'
        "            place(os.path.join(self.work, name), os.path.join(self.directory, name))\n"
        '            place is shutil.move or os.unlink(os.path.join(self.work, "manifest.json"))',
        beside=("storage/42/synced", "storage/36/kill-sweep"),
    ),
    Mutant(
        "artifact-after-the-manifest",
        ("storage/41/manifest-last",),
        "        os.rmdir(self.work)",
        '        os.rename(os.path.join(self.directory, "data.tar"), self.work + "/data.tar")\n'
        '        os.rename(self.work + "/data.tar", os.path.join(self.directory, "data.tar"))\n'
        "        os.rmdir(self.work)",
        beside=("storage/36/kill-sweep", "storage/42/synced"),
    ),
    Mutant(
        "manifest-unsynced",
        ("storage/42/synced",),
        "            os.fsync(file.fileno())\n" + _MOVES,
        _MOVES,
    ),
    Mutant(
        "manifest-synced-before-it-is-written",
        ("storage/42/synced",),
        "            file.flush()\n            os.fsync(file.fileno())\n",
        "            os.fsync(file.fileno())\n            file.flush()\n",
    ),
    Mutant(
        "artifact-unsynced",
        ("storage/42/synced",),
        "            os.fsync(file.fileno())\n        size",
        "        size",
    ),
    Mutant(
        "directory-unsynced",
        ("storage/42/synced",),
        _SYNCED,
        "",
    ),
    Mutant(
        "directory-synced-at-the-end-alone",
        ("storage/42/synced",),
        _SYNCED,
        '            name == "data.tar" or sync(self.directory)\n',
    ),
)
