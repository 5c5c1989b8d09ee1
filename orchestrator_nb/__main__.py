"""``python -m orchestrator_nb`` is `orchestrate`."""

from orchestrator_nb.cli import main

main()
