"""A real JupyterLab, driven by a real Chromium: for the browser tests and the benchmarks with a browser.

The server runs in a directory of its own with default settings, on a free port, isolated from the user's configuration.
LAB_PYTHON is an interpreter with another JupyterLab to try. Tests drive `window.jupyterapp`, exposed when asked.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

REPOSITORY = Path(__file__).parents[2]
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: Milliseconds that anything in a page may take on a loaded machine.
PATIENCE = 60_000


class Lab:
    """One server."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, token: str, root: Path) -> None:
        self.process, self.url, self.token, self.root = process, url, token, root

    def address(self, path: str) -> str:
        """Of a file, in a workspace of its own."""
        return f"{self.url}/lab/workspaces/{secrets.token_hex(4)}/tree/{path}?token={self.token}"


@contextmanager
def started_lab(directory: Path, dark: bool = False, kernels: dict[str, str] | None = None) -> Iterator[Lab]:
    """A server over `directory`/root; `kernels` are further interpreters by kernel name."""
    root = directory / "root"
    root.mkdir()
    settings = directory / "settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    if dark:
        (settings / "themes.jupyterlab-settings").write_text('{"theme": "JupyterLab Dark"}')
    for name, python in (kernels or {}).items():
        spec = directory / "data/kernels" / name
        spec.mkdir(parents=True)
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        described = {"argv": argv, "display_name": name, "language": "python"}
        described["metadata"] = {"supported_features": ["kernel subshells"]}
        (spec / "kernel.json").write_text(json.dumps(described))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ORCH_")},
        "JUPYTER_CONFIG_DIR": str(directory / "config"),
        "JUPYTER_DATA_DIR": str(directory / "data"),
        "JUPYTER_RUNTIME_DIR": str(directory / "runtime"),
        "IPYTHONDIR": str(directory / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(directory / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(directory / "workspaces"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "PYTHONPATH": str(REPOSITORY),
    }
    token = secrets.token_hex(16)
    arguments = [
        "--no-browser", "--allow-root", "--ip=127.0.0.1", "--ServerApp.port=0", f"--ServerApp.root_dir={root}",
        f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    with (directory / "lab.log").open("wb") as log:
        command = [os.environ.get("LAB_PYTHON", sys.executable), "-m", "jupyterlab", *arguments]
        process = subprocess.Popen(command, env=environment, cwd=root, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield Lab(process, _address(process, directory, token), token, root)
        finally:
            process.terminate()  # it shuts the kernels down too
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(process: subprocess.Popen[bytes], directory: Path, token: str) -> str:
    """Where the server listens: it picks the port itself and writes it down."""
    deadline = time.monotonic() + 60
    while True:
        with suppress(OSError, ValueError, KeyError):
            information = json.loads((directory / f"runtime/jpserver-{process.pid}.json").read_text())
            url = f"http://127.0.0.1:{information['port']}"
            request = urllib.request.Request(f"{url}/api/status", headers={"Authorization": f"token {token}"})
            with urllib.request.urlopen(request, timeout=5):
                return url
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("JupyterLab did not start:\n" + (directory / "lab.log").read_text()[-3000:])
        time.sleep(0.05)


@contextmanager
def started_browser() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Notebook:
    """A notebook that is open in a page."""

    def __init__(self, lab: Lab, page: Page, name: str) -> None:
        self.lab, self.page, self.name = lab, page, name

    @property
    def path(self) -> Path:
        """The file."""
        return self.lab.root / self.name

    def run(self, index: int, wait: bool = True) -> None:
        """Run a cell; wait until it has ended."""
        self.page.evaluate(
            """i => { const w = jupyterapp.shell.currentWidget; w.content.activeCellIndex = i; w.content.deselectAll();
                 jupyterapp.commands.execute('notebook:run-cell'); }""",
            index,
        )
        if wait:
            self.wait(index)

    def run_all(self) -> None:
        """Run all cells, without waiting: the promise would hang with a cell that never ends."""
        self.page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")

    def wait(self, index: int) -> None:
        """Wait until a cell has ended."""
        self.page.wait_for_function(
            """i => { const m = jupyterapp.shell.currentWidget.content.widgets[i].model;
                 return m.executionCount !== null && m.executionState === 'idle' }""",
            arg=index,
            timeout=PATIENCE,
        )

    def running(self, index: int) -> bool:
        """Whether a cell is still running."""
        script = "i => jupyterapp.shell.currentWidget.content.widgets[i].model.executionState"
        return self.page.evaluate(script, index) == "running"

    def add(self, source: str) -> int:
        """A new cell at the end; returns its index."""
        return self.page.evaluate(
            """s => { const n = jupyterapp.shell.currentWidget.content; n.model.sharedModel.insertCell(
                 n.widgets.length, {cell_type: 'code', source: s, metadata: {trusted: true}});
                 return n.widgets.length - 1; }""",
            source,
        )

    def output(self, index: int) -> Any:
        """The locator of a cell's output area."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-OutputArea").first

    def text(self, index: int) -> str:
        """What a cell's output says."""
        script = "i => jupyterapp.shell.currentWidget.content.widgets[i].outputArea.node.innerText"
        return str(self.page.evaluate(script, index))

    def until(self, condition: Callable[[], bool], what: str, patience: float = PATIENCE / 1000) -> None:
        """Wait until `condition` holds."""
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {patience:g} s: {what}")
            self.page.wait_for_timeout(50)

    def save(self) -> dict[str, Any]:
        """Save it; what the file holds."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.context.save()")
        return json.loads(self.path.read_text())

    def restart(self) -> None:
        """Restart its kernel."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        self.ready()

    def reload(self) -> None:
        """Load the page again, keeping the kernel."""
        self.page.reload(wait_until="domcontentloaded")
        self.ready()

    def open(self) -> None:
        """Load the page and wait for the kernel."""
        self.page.goto(self.lab.address(self.name), wait_until="domcontentloaded")
        self.ready()

    def ready(self) -> None:
        """Wait until the notebook is shown and its kernel idle."""
        self.page.wait_for_function(
            """() => { const w = window.jupyterapp?.shell?.currentWidget;
                 const k = w?.sessionContext?.session?.kernel;
                 return k && k.status === 'idle' && w.content?.widgets?.length }""",
            timeout=PATIENCE,
        )


def new_notebook(lab: Lab, page: Page, cells: Sequence[str], name: str, kernel: str = "python3") -> Notebook:
    """Write a notebook and open it."""
    document = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}},
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{index}",
                "metadata": {},
                "source": cell,
                "outputs": [],
                "execution_count": None,
            }
            for index, cell in enumerate(cells)
        ],
    }
    (lab.root / name).write_text(json.dumps(document))
    notebook = Notebook(lab, page, name)
    notebook.open()
    return notebook
