"""Which mode is chosen, and with which words."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest
from papermill.cli import papermill

from orchestrator_nb.errors import AgentError
from orchestrator_nb.kernels.modes import (
    Choice,
    Kind,
    asked,
    choose,
    is_ipython,
    is_this_interpreter,
    obstacle,
    runs_command,
)

IPYTHON = (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")
R = ("R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}")


@dataclass
class Spec:
    """A kernelspec."""

    argv: tuple[str, ...] = IPYTHON
    env: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    display_name: str = "The kernel"


def chosen(mode: str, spec: Spec, times: int = 1, *arguments: str) -> Choice:
    """The choice for the last of some notebooks of a kind that nobody else has had."""
    kind = Kind.of(spec, ("--of", os.environ["PYTEST_CURRENT_TEST"], *arguments))
    return [choose(mode, spec, kind) for _ in range(times)][-1]


FIRST = Choice("fork", "the first notebook of its kind in this process: without its imports", imports=False)


def test_auto_is_the_fastest_that_can_be() -> None:
    assert chosen("auto", Spec()) == FIRST
    assert chosen("auto", Spec(), 2, "a") == Choice("fork", "a kernel of this environment")
    other = Spec((str(Path("/opt/python/bin/python")), *IPYTHON[1:]))
    why = "it cannot be forked: it is of another interpreter, /opt/python/bin/python"
    assert chosen("auto", other) == Choice("cold", why)
    assert chosen("auto", other, 2, "b") == Choice("warm", why)
    assert chosen("auto", Spec(R), 3, "c").mode == "cold"


def test_auto_does_not_prepare_for_more_in_papermills_command() -> None:
    assert not runs_command()
    with click.Context(click.Command("another")):
        assert not runs_command()
    with click.Context(papermill):
        assert chosen("auto", Spec()) == Choice("cold", "the one notebook of papermill's command")
        assert chosen("auto", Spec(), 2, "a").mode == "fork"
        assert chosen("fork", Spec()).mode == "fork"


@pytest.mark.parametrize("mode", ["cold", "warm", "fork"])
def test_what_is_asked_for_is_given(mode: str) -> None:
    assert chosen(mode, Spec()) == Choice(mode, "asked for")


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("fork", "'The kernel' cannot be forked: it is not started by 'python -m ipykernel_launcher'. Use the mode"),
        ("warm", "'The kernel' cannot wait: it is not an IPython kernel. Use cold."),
    ],
)
def test_what_cannot_be_had_is_refused(mode: str, words: str) -> None:
    with pytest.raises(AgentError, match=words):
        chosen(mode, Spec(R))


def test_the_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(None) == "auto"
    monkeypatch.setenv("ORCHESTRATOR_KERNEL_MODE", "warm")
    assert asked(None) == "warm"
    assert asked("cold") == "cold"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (Spec(), ""),
        (Spec((sys.executable, "-Xfrozen_modules=off", *IPYTHON[1:])), ""),
        (Spec(("python", *IPYTHON[1:])), ""),
        (Spec(R), "it is not started by 'python -m ipykernel_launcher'"),
        (Spec((sys.executable, "-E", *IPYTHON[1:])), "it is not started by 'python -m ipykernel_launcher'"),
        (Spec(("/nowhere/python", *IPYTHON[1:])), "it is of another interpreter, /nowhere/python"),
        (Spec(metadata={"kernel_provisioner": {}}), "its specification names a provisioner of its own"),
    ],
)
def test_what_keeps_a_kernel_from_being_forked(spec: Spec, reason: str) -> None:
    assert obstacle(spec, "linux") == reason
    assert obstacle(spec, "darwin") == "forks are sound on Linux only"


def test_another_environment_with_the_same_program_is_another_interpreter(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(os.path.realpath(sys.executable))
    assert not is_this_interpreter(str(tmp_path / "python"))
    assert is_this_interpreter(sys.executable)


def test_ipython_kernels_are_known_by_their_command() -> None:
    assert is_ipython(Spec())
    assert is_ipython(Spec(("python", "-m", "ipykernel", "-f", "{connection_file}")))
    assert not is_ipython(Spec(R))


def test_kernels_are_of_one_kind_if_command_and_environment_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = Kind.of(Spec())
    for name in ("ORCH_TASK_ID", "OLDPWD"):  # these differ from run to run, and nothing depends on them
        monkeypatch.setenv(name, "x")
    assert Kind.of(Spec()) == kind
    assert Kind.of(Spec(), ["--debug"]) != kind
    assert Kind.of(Spec(env={"LEVEL": "1"})) != kind
    monkeypatch.setenv("LEVEL", "1")
    assert Kind.of(Spec()) == Kind.of(Spec(env={"LEVEL": "1"})) != kind


def test_a_choice_tells_what_is_not_preloaded() -> None:
    choice = Choice("fork", "asked for", {"polars": "starts threads"})
    assert str(choice) == "fork: asked for; not preloaded: polars (starts threads)"
    assert choice.as_metadata() == {
        "mode": "fork",
        "why": "asked for",
        "not_preloaded": {"polars": "starts threads"},
    }
    assert str(Choice("cold", "asked for")) == "cold: asked for"
    assert Choice("cold", "asked for").as_metadata() == {"mode": "cold", "why": "asked for"}
