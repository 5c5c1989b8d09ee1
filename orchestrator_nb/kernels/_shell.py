"""The shell of IPython kernels, made before they are forked: a kernel does only the steps that are about its process.

The steps are IPython's own. While the shell is made, those that touch the process do nothing; in the kernel they are
done in their order. A kernel whose shell is configured, or of another IPython than is known here, makes its own.
"""

from __future__ import annotations

import atexit
import os
import sys
import warnings
from contextlib import suppress
from typing import Any

from ipykernel.compiler import XCachingCompiler
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

#: The steps in which shells are made, as far as they are known here, and those of them that are done in the kernel.
KNOWN = (
    *("init_ipython_dir", "init_profile_dir", "init_instance_attrs", "init_environment", "init_virtualenv"),
    *("init_create_namespaces", "save_sys_module_state", "init_sys_modules", "init_history", "init_encoding"),
    *("init_prefilter", "init_syntax_highlighting", "init_hooks", "init_events", "init_pushd_popd_magic"),
    *("init_user_ns", "init_builtins", "init_completer", "init_io", "init_traceback_handlers", "init_prompts"),
    *("init_display_formatter", "init_display_pub", "init_data_pub", "init_displayhook", "init_magics", "init_alias"),
    *("init_logstart", "init_pdb", "init_extension_manager", "init_payload"),
)
LATER: dict[str, tuple[Any, ...]] = {
    "init_ipython_dir": (None,),
    "init_environment": (),
    "save_sys_module_state": (),
    "init_sys_modules": (),
    "init_history": (),
    "init_encoding": (),
    "init_user_ns": (),
    "init_builtins": (),
    "init_prompts": (),
}
#: What a kernel is configured with that has nothing to do with its shell.
OTHERS = {"IPKernelApp", "HistoryManager"}


def make() -> ZMQInteractiveShell | None:
    """A shell for the kernels that are forked from now on."""
    if steps() != KNOWN:
        return None
    nothing = dict.fromkeys((*LATER, "init_profile_dir"), lambda *_: None)  # the profile is given by the kernel
    kind: Any = type("Ahead", (ZMQInteractiveShell,), nothing)
    with warnings.catch_warnings():
        before = len(warnings.filters)
        shell: Any = kind(config=Config(IPKernelApp={}), compiler_class=XCachingCompiler)
        filters[:] = warnings.filters[: len(warnings.filters) - before]
    atexit.unregister(shell.atexit_operations)
    formatter = shell.display_formatter  # which makes what it uses when it is first asked for it
    assert formatter.formatters
    assert formatter.ipython_display_formatter
    assert formatter.mimebundle_formatter
    shell.__class__ = ZMQInteractiveShell
    return shell  # type: ignore[no-any-return]


def steps() -> tuple[str, ...]:
    """The steps in which this IPython makes a shell."""
    names = InteractiveShell.__init__.__code__.co_names
    return tuple(name for name in names if name.startswith("init_") or name == "save_sys_module_state")


def take(given: dict[str, Any]) -> ZMQInteractiveShell | None:
    """The shell that was made, completed as `ZMQInteractiveShell(**given)` is; None: the kernel has to make its own."""
    kernel = given["parent"]
    plain = given["user_module"] is given["user_ns"] is None and given["compiler_class"] is XCachingCompiler
    if made is None or not plain or not is_about_others(kernel.config):
        return None
    shell: Any = made
    kernel.config.update({**shell.config, **kernel.config})
    shell.config.update(kernel.config)  # all parts of the shell share it
    shell.parent, shell.kernel, shell.profile_dir = kernel, given["kernel"], given["profile_dir"]
    shell.starting_dir, shell.sys_excepthook = os.getcwd(), sys.excepthook  # noqa: PTH109 - as IPython has it
    for step, arguments in LATER.items():
        getattr(shell, step)(*arguments)
    shell.configurables.insert(1, shell.configurables.pop())  # its history: the others come after it
    warnings.filters[:0] = filters  # type: ignore[index]
    atexit.register(shell.atexit_operations)
    for kind in ZMQInteractiveShell._walk_mro():
        kind._instance = shell
    return made


def is_about_others(config: Any) -> bool:
    """Whether a configuration says nothing of the shell and its parts."""
    return config.keys() <= OTHERS and not any(
        isinstance(value, dict) for part in config.values() for value in part.values()
    )


#: The shell, and the filters of warnings that it has set.
made: ZMQInteractiveShell | None = None
filters: list[Any] = []
with suppress(Exception):  # a kernel that makes its own tells what is wrong
    made = make()
