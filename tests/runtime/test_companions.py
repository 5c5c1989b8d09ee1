from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.headless.batch import Batch, start
from orchestrator_nb.runtime.companions import BATCH_MARK, companion_of
from orchestrator_nb.runtime.orchestrator import Orchestrator
from orchestrator_nb.runtime.session import Session
from orchestrator_nb.storage.settings import Settings
from tests.headless.books import save
from tests.runtime.waiting import plan

FILES = ("index.html", "results.csv", "final_output.md", "x_1.ipynb")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workspace=tmp_path / "sessions", grace=0.5, projection_interval=0.05)


@pytest.fixture
def session(tmp_path: Path, settings: Settings) -> Session:
    """A batch whose one run failed for a reason that is mended; its folder is empty, the run is to be tried again."""
    book = save(tmp_path / "book.ipynb", ("x = 1", "parameters"), f"assert open({str(tmp_path / 'mended')!r})")
    done = start(book, grid={"x": [1]}, settings=settings, output=tmp_path / "out", name="x_{x}").wait()
    assert done.status == "failed"
    for name in FILES:
        (tmp_path / "out" / name).unlink()
    (tmp_path / "mended").touch()
    session = Session.open(done.run.path, settings)
    session.tell("retry", task="x_1")
    return session


def test_a_batch_that_is_resumed_from_python_fills_its_folder(tmp_path: Path, session: Session) -> None:
    run = session.resume().wait()
    assert run.status == "completed"
    assert [(tmp_path / "out" / name).exists() for name in FILES] == [True] * 4
    assert "completed" in (tmp_path / "out" / "results.csv").read_text()
    assert isinstance(run.companion, Batch)
    assert Batch.of_run(run) is run.companion


def test_who_awaits_the_run_awaits_its_folder(tmp_path: Path, session: Session) -> None:
    async def resume() -> None:
        await session.resume()

    asyncio.run(resume())
    assert [(tmp_path / "out" / name).exists() for name in FILES] == [True] * 4


def test_a_damaged_mark_is_told_before_anything_is_run(session: Session) -> None:
    (session.path / BATCH_MARK).write_text("{")
    with pytest.raises(OrchestratorError, match=r"batch\.json in it is damaged"):
        session.resume()
    assert session.holder() is None


def test_other_sessions_have_no_companion(settings: Settings) -> None:
    run = Orchestrator(settings).run(plan({"id": "a", "command": "true"})).wait()
    assert run.companion is None
    assert companion_of(run.directory) is None
