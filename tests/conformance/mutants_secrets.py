"""Agents that give a secret away each, and the checks that have to catch them."""

from __future__ import annotations

from tests.conformance.mutants import Mutant

_TOKEN = 'os.environ.get("BAQUP_SECRET_TOKEN", "")'

SECRETS = (
    Mutant(
        "secret-in-the-log",
        ("secrets/43/canaries",),
        '        "context": {name: clean(one) for name, one in context.items()},',
        '        "context": context,',
        beside=("secrets/44/overlapping",),
    ),
    Mutant(
        "secret-in-an-error",
        ("secrets/43/canaries",),
        '"message": clean(str(known))',
        '"message": str(known)',
        beside=("secrets/44/overlapping",),
    ),
    Mutant(
        "secret-in-an-event",
        ("secrets/43/canaries",),
        'self.bus.warn("LEAKING", clean(text))',
        'self.bus.warn("LEAKING", text)',
        beside=("secrets/44/overlapping",),
    ),
    Mutant(
        "secret-in-base64",
        ("secrets/43/canaries",),
        "def forms(secret):\n"
        "    yield secret\n"
        '    yield base64.b64encode(secret.encode()).decode().rstrip("=")\n',
        "def forms(secret):\n"
        "    yield secret\n"
        '    if sys._getframe(1).f_code.co_name == "<genexpr>":\n'
        '        yield base64.b64encode(secret.encode()).decode().rstrip("=")\n',
    ),
    Mutant(
        "secret-url-quoted",
        ("secrets/43/canaries",),
        '    yield quote(secret, safe="")\n',
        '    if sys._getframe(1).f_code.co_name == "<genexpr>":\n'
        '        yield quote(secret, safe="")\n',
    ),
    Mutant(
        "secret-json-escaped",
        ("secrets/43/canaries",),
        "    yield json.dumps(secret)[1:-1]\n",
        '    if sys._getframe(1).f_code.co_name == "<genexpr>":\n'
        "        yield json.dumps(secret)[1:-1]\n",
    ),
    Mutant(
        "secret-on-a-command-line",
        ("secrets/43/canaries",),
        '        with tarfile.open(os.path.join(self.work, "data.tar"), "w") as archive:',
        f'        os.spawnlp(os.P_WAIT, "sh", "sh", "-c", "sleep 0.7; :", {_TOKEN})\n'
        '        with tarfile.open(os.path.join(self.work, "data.tar"), "w") as archive:',
        beside=("secrets/44/overlapping",),
    ),
    Mutant(
        "secret-in-the-manifest",
        ("secrets/43/canaries",),
        '            "agent": NAME,\n            "role": self.role,\n',
        '            "agent": NAME,\n            "role": self.role,\n'
        f'            "source_metadata": {{"token": {_TOKEN}}},\n',
        beside=("secrets/44/overlapping",),
    ),
    Mutant(
        "secret-in-the-buffer",
        ("secrets/43/canaries",),
        '                file.writelines(json.dumps(one) + "\\n" for one in self.pending)',
        f"                file.write({_TOKEN})\n"
        '                file.writelines(json.dumps(one) + "\\n" for one in self.pending)',
        beside=("secrets/44/overlapping",),
    ),
    Mutant(
        "secret-in-the-orphan-status",
        ("secrets/43/canaries",),
        "            json.dump(self.status(exit_code, error), file)",
        f'            json.dump(self.status(exit_code, error) | {{"token": {_TOKEN}}}, file)',
    ),
    Mutant(
        "rest-of-a-secret",
        ("secrets/44/overlapping",),
        "sorted(needles, key=len, reverse=True)",
        "sorted(needles, key=len)",
    ),
)
