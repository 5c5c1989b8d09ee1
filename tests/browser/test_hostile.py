"""Nothing that an agent wrote acts in the page: all payloads in all views, live, settled, saved, reopened, exported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.payloads import PAYLOADS

if TYPE_CHECKING:
    from tests.browser.lab import Notebook

Opening = Callable[..., "Notebook"]

PLAN = """
import json, time
from orchestrator_nb import PlanBuilder, orchestrate
payloads = json.loads({payloads!r})
plan = PlanBuilder(payloads[0], description=payloads[1])
written = [text.replace("$", "$$") for text in payloads]
for n, text in enumerate(written):
    plan.simulated(title=payloads[n], id=f"good-{{n}}", result=text, steps=[text], duration=0.01)
    plan.simulated(title=payloads[n], id=f"bad-{{n}}", fail=text)
plan.shell(["printf", "%s\\n", *written], id="printed")
plan.human("\\n\\n".join(written), id="ask", schema={{
    "type": "string", "title": payloads[0], "description": payloads[4], "enum": payloads[:5]}})
run = orchestrate(plan)
"""
SHOW_ALL = """
for n in range(len(payloads)):
    for kind in ("good", "bad"):
        run.view.select(f"{kind}-{n}")
        time.sleep(0.12)
run.view.select("printed")
print("shown")
"""


def watched(page: Any) -> list[str]:
    """What must not happen in the page, as it happens."""
    happened: list[str] = []
    page.on("dialog", lambda dialog: (happened.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: happened.append(request.url) if "evil.example" in request.url else None)
    return happened


def fired(page: Any) -> Any:
    return page.evaluate("() => window.fired")


def test_row_F4_F5_F8_nothing_acts_live_settled_reopened_or_exported(notebook: Opening) -> None:
    page = notebook([PLAN.format(payloads=json.dumps(PAYLOADS)), "run.view.outputs", SHOW_ALL, "run.view.log"])
    happened = watched(page.page)
    page.run(0)
    page.output(0).get_by_role("button", name="Approve").wait_for()
    page.until(lambda: page.output(0).locator("rect[data-status='failed']").count() > 0, "tasks have failed")
    page.run(1)
    page.page.locator(".o-tab[data-tab='result']").last.click()
    page.run(3)
    page.run(2)
    node = page.output(0).locator("rect[data-task='bad-3']").first
    node.hover()
    assert fired(page.page) is None
    assert happened == []
    cell = page.add("run.reject('ask', payloads[0]); run.wait(); print(run.status)")
    page.run(cell)
    page.output(0).get_by_text("Failed").first.wait_for()
    assert page.text(cell).strip() == "failed"
    kept = page.add("run['good-3']")
    page.run(kept)
    page.until(lambda: not page.output(0).locator(".orchestrator").count(), "the view has settled")
    saved = page.save()
    kinds = {kind for c in saved["cells"] for shown in c["outputs"] for kind in shown.get("data", {})}
    assert not kinds & {"application/javascript", "image/svg+xml", "text/latex"}
    assert fired(page.page) is None
    _read_untrusted(page, happened)
    _read_exported(page)
    assert happened == []


def _read_untrusted(page: Notebook, happened: list[str]) -> None:
    """As a colleague opens it: a file whose outputs this server has not signed."""
    document = json.loads(page.path.read_text())
    document["metadata"]["stranger"] = True
    copy = page.path.with_name("stranger.ipynb")
    copy.write_text(json.dumps(document))
    other = type(page)(page.lab, page.page, copy.name)
    other.open()
    other.page.get_by_text("final_output.md").first.wait_for()
    assert fired(other.page) is None
    assert happened == []


def _read_exported(page: Notebook) -> None:
    """As HTML, by nbconvert."""
    command = [sys.executable, "-m", "nbconvert", "--to", "html", str(page.path)]
    subprocess.run(command, check=True, capture_output=True)
    exported = page.page.context.new_page()
    happened = watched(exported)
    exported.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())
    exported.goto(page.path.with_suffix(".html").as_uri(), wait_until="domcontentloaded")
    exported.get_by_text("final_output.md").first.wait_for()
    exported.wait_for_timeout(500)
    assert fired(exported) is None
    assert happened == []
    exported.close()
