"""The program of a notebook's process: ``python _notebook_main.py DIRECTORY``.

What it does is in a module, which a fork has from the start: a program is compiled each time that it is run.
"""

if __name__ == "__main__":
    import sys
    from pathlib import Path

    # Started by path, so that it works wherever its package was imported from.
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from orchestrator_nb.agents._notebook_child import main

    main(Path(sys.argv[1]))
