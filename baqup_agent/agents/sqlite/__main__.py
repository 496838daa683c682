"""``python -m baqup_agent.agents.sqlite``."""

from __future__ import annotations

from baqup_agent.agents.sqlite import main

if __name__ == "__main__":
    main()
