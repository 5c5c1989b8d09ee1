"""Containment of a process: what it may read, write, reach and signal, whatever it tries.

`policy` says what is granted, `programs` finds what a program needs to run at all, `containing` makes of these and a
command the command that is really started (by way of `_enter`), on the best level that `probing` found to work here:
bubblewrap, else Landlock, else none. `control_files` looks after files that other programs obey. `escapes` tries to
break out.
"""
