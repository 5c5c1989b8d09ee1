from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.agents.coding.agent import CodingAgent
from orchestrator_nb.agents.none import NoAgent
from orchestrator_nb.agents.registry import BUILT_IN, Registry
from orchestrator_nb.agents.simulated import SimulatedAgent
from orchestrator_nb.core.models import Task
from orchestrator_nb.errors import AgentError, UnknownAgent
from tests.agents.lab import Lab

PACKAGE = """
from orchestrator_nb.core.ports import Success

class EchoAgent:
    def preflight(self, assignment):
        return None

    async def run(self, assignment, services):
        services.progress("echoing", 1, 1)
        return Success(text=f"echo: {assignment.work.prompt}")

broken = None
"""


def install(
    site: Path, package: str, entry_points: dict[str, str], source: str = PACKAGE, group: str = "orchestrator_nb.agents"
) -> None:
    """What an installer leaves of a distribution: a module and its metadata."""
    (site / f"{package}.py").write_text(source)
    info = site / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "\n".join(f"{name} = {value}" for name, value in entry_points.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "site"
    directory.mkdir()
    monkeypatch.syspath_prepend(str(directory))
    return directory


def test_every_built_in_agent_loads() -> None:
    registry = Registry()
    for kind in BUILT_IN:
        assert callable(registry.get(kind).run)
    assert registry.get("shell") is registry.get("shell")


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, orchestrator_nb.agents.registry as r; r.Registry(); print('papermill' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_an_installed_package_adds_an_agent(site: Path, tmp_path: Path) -> None:
    install(site, "echo_agents_a", {"echo-a": "echo_agents_a:EchoAgent"})
    lab = Lab(tmp_path)
    assert "echo-a" in lab.registry.names()
    assert lab.succeed(agent="echo-a", prompt="hi") == "echo: hi"
    assert [type(event).__name__ for event in lab.events] == ["TaskProgressed"]


def test_a_full_path_names_an_agent_that_nobody_registered(site: Path) -> None:
    install(site, "echo_agents_b", {})
    outcome = Registry().get("echo_agents_b:EchoAgent")
    assert type(outcome).__name__ == "EchoAgent"


def test_a_package_cannot_take_the_place_of_a_built_in_agent(site: Path) -> None:
    install(site, "echo_agents_c", {"simulated": "echo_agents_c:EchoAgent"})
    assert isinstance(Registry().get("simulated"), SimulatedAgent)


def test_two_packages_with_one_name_are_told_apart_by_the_full_path(site: Path) -> None:
    install(site, "echo_agents_d", {"twice": "echo_agents_d:EchoAgent"})
    install(site, "echo_agents_e", {"twice": "echo_agents_e:EchoAgent"})
    with pytest.raises(AgentError, match=r"provided by echo_agents_\w and echo_agents_\w: name the one you mean"):
        Registry().get("twice")


def test_an_agent_that_cannot_be_loaded_says_why(site: Path) -> None:
    install(site, "echo_agents_f", {"bad-f": "echo_agents_f:Missing", "none-f": "echo_agents_f:broken"})
    with pytest.raises(AgentError, match=r"'bad-f \(of echo_agents_f\)' cannot be loaded .* AttributeError"):
        Registry().get("bad-f")
    with pytest.raises(AgentError, match="has no methods `run` and `preflight`"):
        Registry().get("none-f")


def test_an_unknown_agent_is_answered_with_the_nearest_name() -> None:
    known = r"\(known: claude, codex, function, gemini, human, "
    with pytest.raises(UnknownAgent, match=rf"unknown agent 'shel'; did you mean 'shell'\? {known}"):
        Registry().get("shel")


def test_models_are_an_agent_that_imports_no_library_of_models() -> None:
    Registry().get("model")
    assert "pydantic_ai" not in sys.modules or "tests.agents.models.test_calling" in sys.modules


def test_the_program_of_a_coding_agent_is_run_by_the_coding_agent() -> None:
    agent = Registry().get("tests.agents.coding.puppet:Puppet")
    assert isinstance(agent, CodingAgent)
    assert agent.cli.name == "puppet"


def test_an_installed_package_adds_the_program_of_a_coding_agent(site: Path) -> None:
    source = "from tests.agents.coding.puppet import Puppet\n"
    install(site, "own_cli_g", {"own-g": "own_cli_g:Puppet"}, source, "orchestrator_nb.coding_clis")
    registry = Registry()
    assert "own-g" in registry.names()
    assert isinstance(registry.get("own-g"), CodingAgent)
    assert registry.patient(["own-g"]) == {"own-g"}


def test_coding_agents_are_patient_and_unknown_kinds_are_passed_over() -> None:
    assert Registry().patient(["claude", "shell", "nobody", "gemini", "claude"]) == {"claude", "gemini"}


def test_a_handed_in_agent_goes_first() -> None:
    mine = NoAgent()
    assert Registry({"shell": mine}).get("shell") is mine


def test_a_task_without_work_cannot_run(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    assert "task 'T-01' has no work: give it a `command`" in (lab.preflight() or "")
    assert lab.fail().kind == "preflight"


def test_a_coding_agent_gets_the_runs_grace() -> None:
    agent: Any = Registry(grace=2.5).get("claude")
    assert agent.grace == 2.5


def test_what_an_agent_finds_wrong_is_asked_without_loading_what_is_only_named() -> None:
    task = Task.model_validate({"id": "a", "agent": "gemini", "prompt": "x", "parameters": {"budget": 1}})
    registry = Registry()
    assert "cannot honour `budget`" in (registry.fault_of("gemini", task, task) or "")
    assert registry.fault_of("claude", task, task) is None
    for kind in ("shell", "nobody", "tests.agents.coding.puppet:Puppet"):
        assert registry.fault_of(kind, task, task) is None
    registry.get("tests.agents.coding.puppet:Puppet")
    other = task.model_copy(update={"parameters": {"nothing": 1}})
    assert "unknown" in (registry.fault_of("tests.agents.coding.puppet:Puppet", other, other) or "")
