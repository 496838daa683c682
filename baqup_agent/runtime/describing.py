"""What an agent answers about itself; none of it needs an environment or a network (Contract §8).

Each answer is a text without a line break at its end. What an answer is made of is imported when
it is given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from baqup_agent.agent import Agent
from baqup_agent.contract import Role


def answer(agent_class: type[Agent], question: str, form: str, role: Role | None) -> str:
    """Return the answer to a question of the command line.

    Args:
        agent_class: who is asked.
        question: an option without its dashes, for example ``schema``.
        form: the word behind the option, where it takes one.
        role: for which role, where that makes a difference.
    """
    return _ANSWERS[question](agent_class, form, role).rstrip("\n")


def _schema(agent_class: type[Agent], _form: str, _role: Role | None) -> str:
    return json.dumps(agent_class.schema(), indent=2)


def _labels(agent_class: type[Agent], form: str, _role: Role | None) -> str:
    from baqup_agent.runtime.labels import FORMS, labels_of

    return FORMS[form](labels_of(agent_class.info(), agent_class.schema()))


def _diagram(agent_class: type[Agent], form: str, _role: Role | None) -> str:
    from baqup_agent.lifecycle import diagrams

    draw: Callable[..., str] = getattr(diagrams, form)
    return draw(agent_class.declared_lifecycle(), agent_class.name)


def _template(agent_class: type[Agent], _form: str, role: Role | None) -> str:
    from baqup_agent.config.template import environment_template

    word = None if role is None else role.value
    return environment_template(agent_class.declaration(), agent_class.name, word)


def _table(agent_class: type[Agent], _form: str, _role: Role | None) -> str:
    from baqup_agent.config.table import environment_table

    return environment_table(agent_class.declaration())


def _completion(agent_class: type[Agent], form: str, _role: Role | None) -> str:
    from baqup_agent.runtime.arguments import OPTIONS
    from baqup_agent.runtime.completion import script

    return script(form, agent_class.name, [role.value for role in agent_class.roles()], OPTIONS)


_ANSWERS: Mapping[str, Callable[[type[Agent], str, Role | None], str]] = {
    "schema": _schema,
    "labels": _labels,
    "diagram": _diagram,
    "env-template": _template,
    "env-table": _table,
    "completion": _completion,
}
