"""How the author's code fires a trigger: it asks the driver, and waits for the answer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from typing import Any

from baqup_agent.errors import InternalError
from baqup_agent.job.cancellation import CancellationToken
from baqup_agent.runtime.inbox import Fire, Inbox

#: Seconds between two looks at whether the job must stop while the answer is awaited.
_LOOK_EVERY_S = 0.1


def ask_driver(
    inbox: Inbox, token: CancellationToken, trigger: str, payload: Mapping[str, Any]
) -> None:
    """Have the driver fire ``trigger``, and return once the transition was taken.

    Raises:
        IllegalTransition: the current leaf does not accept it; nothing has changed.
        JobCancelled: the job must stop.
        InternalError: asked from an effect, which runs inside a transition itself.
    """
    token.check()
    if threading.current_thread() is threading.main_thread():
        raise InternalError(
            f"trigger {trigger!r} was fired from an effect; fire triggers from the role's code"
        )
    request = Fire(trigger, payload)
    inbox.put(request)
    while True:
        try:
            error = request.answer.get(timeout=_LOOK_EVERY_S)
        except queue.Empty:
            token.check()
            continue
        if error is not None:
            raise error
        return
