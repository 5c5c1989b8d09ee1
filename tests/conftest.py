"""What all tests need of their process."""

from __future__ import annotations

import signal

import hypothesis

# An example that takes long on a loaded machine is no fault.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# A shell that starts the tests in the background, or nohup, lets them ignore signals, and every program that they
# start would inherit that: the tests of signals are about the dispositions of a terminal.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)
