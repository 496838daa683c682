from __future__ import annotations

from tests.controller.conftest import signals_as_on_a_terminal

__all__ = ["signals_as_on_a_terminal"]
