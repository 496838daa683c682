"""A complete project of a new agent, as texts.

What can be derived from the agent is: the templates are rendered, the agent in them is asked for
its description as any agent is, and the image's labels, the compose file and the Kubernetes Job
follow from its answer.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from attrs import frozen

from baqup_agent import __version__
from baqup_agent.clock import SystemClock
from baqup_agent.config.load import environment
from baqup_agent.contract import Role
from baqup_agent.packaging.compose import compose_file
from baqup_agent.packaging.description import Description, describe
from baqup_agent.packaging.kubernetes import USER_ID, JobManifest, job_manifest, notes
from baqup_agent.packaging.names import ProjectNames
from baqup_agent.packaging.placement import Placement
from baqup_agent.packaging.yaml_text import to_yaml
from baqup_agent.runtime.labels import as_dockerfile

#: The roles that there is a template for.
ROLES = (Role.SNAPSHOT, Role.RESTORE)

#: The version that a project begins with.
_FIRST_VERSION = "0.1.0"

#: Where each template ends up; ``{package}`` stands for the package's name.
_ALWAYS: Mapping[str, str] = {
    "pyproject.toml": "pyproject.toml",
    "gitignore": ".gitignore",
    "dockerignore": ".dockerignore",
    "LICENSE": "LICENSE",
    "README.md": "README.md",
    "ci.yaml": ".github/workflows/ci.yaml",
    "package/__init__.py": "{package}/__init__.py",
    "package/__main__.py": "{package}/__main__.py",
    "package/agent.py": "{package}/agent.py",
    "package/lifecycle.py": "{package}/lifecycle.py",
    "package/settings.py": "{package}/settings.py",
    "tests/jobs.py": "tests/jobs.py",
    "tests/test_lifecycle.py": "tests/test_lifecycle.py",
    "tests/test_container.py": "tests/test_container.py",
}

_SAYS = {
    Role.SNAPSHOT: "Archive ``BAQUP_SOURCE_PATH``.",
    Role.RESTORE: "Bring ``BAQUP_SOURCE_PATH`` back to ``BAQUP_TARGET_PATH``.",
}

_EXAMPLES = {
    Role.SNAPSHOT: '--source tests --staging "$(mktemp -d)"',
    Role.RESTORE: "--from OUT/JOB_ID --target DIR",
}


@frozen
class Project:
    """What is asked for.

    Attributes:
        names: what it is called.
        roles: the roles of its agent, at least one.
    """

    names: ProjectNames
    roles: Sequence[Role]

    @property
    def image(self) -> str:
        """The name of its image."""
        return f"{self.names.agent}:{_FIRST_VERSION}"

    def texts(self) -> dict[str, str]:
        """Return every file's text by its path, sorted.

        Raises:
            UsageError: PyYAML is not installed.
            ConfigError: the agent demands something that its manifests cannot give.
        """
        agent = self._agent()
        description = _ask(agent, self.names.package)
        texts = {**agent, **self._container(description)}
        return dict(sorted(texts.items()))

    def _agent(self) -> dict[str, str]:
        places = dict(_ALWAYS)
        for role in self.roles:
            places[f"package/{role}.py"] = f"{{package}}/{role}.py"
            places[f"tests/test_{role}.py"] = f"tests/test_{role}.py"
        if Role.SNAPSHOT in self.roles:
            places["package/walk.py"] = "{package}/walk.py"
        if set(self.roles) == set(ROLES):
            places["tests/test_round_trip.py"] = "tests/test_round_trip.py"
        words = self._words()
        texts = {
            place.format(package=self.names.package): _render(template, words)
            for template, place in places.items()
        }
        return {**texts, f"{self.names.package}/py.typed": "", "tests/__init__.py": ""}

    def _container(self, description: Description) -> dict[str, str]:
        # A restore is told its source for each job anew, so only a snapshot can be prepared.
        placement = Placement(
            description, self.roles[0].value, self.image, _prepared(self.roles[0])
        )
        order = JobManifest(placement)
        labels = {**self._words(), "labels": as_dockerfile(description.labels())}
        return {
            "Dockerfile": _render("Dockerfile", labels),
            "compose.yaml": to_yaml(compose_file(placement), [_COMPOSE_NOTE]),
            "kubernetes/job.yaml": to_yaml(job_manifest(order), notes(order)),
        }

    def _words(self) -> dict[str, str]:
        names, roles = self.names, self.roles
        return {
            "name": names.agent,
            "package": names.package,
            "class_name": names.class_name,
            "version": _FIRST_VERSION,
            "sdk_version": __version__,
            "image": self.image,
            "user": str(USER_ID),
            "year": str(SystemClock().now().year),
            "role": str(roles[0]),
            "example": _EXAMPLES[roles[0]],
            "job_more": "".join(f" --env {n}={v}" for n, v in _prepared(roles[0]).items()),
            "what_is_kept": _KEPT if Role.SNAPSHOT in roles else "",
            "abc": "Mapping, Sequence" if Role.SNAPSHOT in roles else "Mapping",
            "methods": "".join(self._method(role) for role in roles).rstrip("\n"),
            "settings": "".join(_render(f"fragments/settings_{role}", {}) for role in roles),
            "settings_by_role": "\n".join(
                f'    "{role}": {role.capitalize()}Settings,' for role in roles
            ),
            "role_rows": "\n".join(
                [
                    *(f"| `{names.package}/{role}.py` | the role `{role}` |" for role in roles),
                    *([_WALK_ROW.format(names.package)] if Role.SNAPSHOT in roles else []),
                ]
            ),
        }

    def _method(self, role: Role) -> str:
        words = {"role": str(role), "says": _SAYS[role], "package": self.names.package}
        return _render("fragments/method", words)


_WALK_ROW = "| `{}/walk.py` | what of a source belongs to a backup |"

#: What the README says of a backup that is not of everything.
_KEPT = """
A file or directory that may not be read is left out of a backup with the warning
`PERMISSION_DENIED`, and the manifest counts them as `files_unreadable`; a source of which nothing
can be read is unavailable (69), and one without a file is saved with the warning
`ANOMALY_DETECTED`. `BAQUP_SOURCE_EXCLUDE`, `_MAX_FILES` and `_MAX_DEPTH` are honoured; of
`BAQUP_SOURCE_FOLLOW_SYMLINKS` `shallow`, `skip` and `fail` are, and `follow` is refused.
"""

_COMPOSE_NOTE = "One job and a bus; stop_grace_period is what the agent's lifecycle needs."


def _prepared(role: Role) -> dict[str, str]:
    if role is Role.RESTORE:
        return {"BAQUP_SOURCE_PATH": "/staging/ID-OF-THE-JOB"}
    return {}


def _render(template: str, words: Mapping[str, str]) -> str:
    source = files("baqup_agent.packaging") / "templates" / f"{template}.template"
    return Template(source.read_text("utf-8")).substitute(words)


def _ask(texts: Mapping[str, str], package: str) -> Description:
    """Ask the agent that the texts make, before anything of it is written where it shall be."""
    with tempfile.TemporaryDirectory(prefix="baqup-new-") as folder:
        for name, text in texts.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        search = os.pathsep.join(filter(None, [folder, environment().get("PYTHONPATH")]))
        return describe([sys.executable, "-m", package], python_path=search)
