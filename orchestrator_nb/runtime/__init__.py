"""Running plans: the loop thread, the runner, sessions, and the control of a run from outside."""
