"""``python -m baqup_agent.cli``: the command line without its console script."""

from baqup_agent.cli import main

main()
