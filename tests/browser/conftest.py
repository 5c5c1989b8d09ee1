"""One JupyterLab and one Chromium for all browser tests; a page, a notebook and a kernel for each."""

from __future__ import annotations

import importlib.util
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.tools import need

if TYPE_CHECKING:
    from tests.browser.lab import Lab, Notebook


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a test with a browser may take on a loaded machine."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(240))


def _needed() -> None:
    if os.environ.get("CI") != "true" and not all(map(importlib.util.find_spec, ("playwright", "jupyterlab"))):
        pytest.skip("needs playwright and jupyterlab")
    need(os.environ.get("CHROMIUM", "chromium"))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    _needed()
    from tests.browser.lab import started_lab

    with started_lab(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """For a module only: playwright keeps an event loop running in this thread, which no other test can have."""
    _needed()
    from tests.browser.lab import started_browser

    with started_browser() as running:
        yield running


@pytest.fixture
def notebook(lab: Lab, browser: Any, request: pytest.FixtureRequest) -> Iterator[Callable[[Sequence[str]], Notebook]]:
    """Opens a notebook with the given cells. A page that fails its test is photographed."""
    from tests.browser.lab import PATIENCE, new_notebook

    context = browser.new_context(viewport={"width": 1200, "height": 1000})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    opened: list[Notebook] = []

    def opening(cells: Sequence[str], kernel: str = "python3") -> Notebook:
        name = f"{request.node.name}-{secrets.token_hex(3)}.ipynb"
        opened.append(new_notebook(lab, page, cells, name, kernel))
        return opened[-1]

    yield opening
    if opened:
        failed = getattr(request.node, "failed", False)
        if failed:
            page.screenshot(path=str(opened[-1].path.with_suffix(".png")))
        with suppress(Exception):  # the test may have ended the kernel
            page.evaluate("() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.shutdown()")
    context.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call" and report.failed:
        item.failed = True  # type: ignore[attr-defined]
