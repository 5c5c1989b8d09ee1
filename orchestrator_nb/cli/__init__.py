"""`orchestrate`: the command line. `main` is the console script."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the process was started with, and end with its exit code (`cli.codes`)."""
    try:
        from orchestrator_nb.cli.app import run_command
    except KeyboardInterrupt:  # Ctrl-C while it is being loaded
        sys.exit(130)
    sys.exit(run_command(sys.argv[1:]))
