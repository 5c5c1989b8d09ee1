"""A part of a view drawn without JupyterLab: the ES module in an empty page, with a model that the test speaks for."""

from __future__ import annotations

import base64
import time
from typing import Any

import msgspec
from playwright.sync_api import Browser, Page

from orchestrator_nb.jupyter.module import CSS, ESM

_BEGIN = """async ([module, kind, snapshot]) => {
  const url = URL.createObjectURL(new Blob([module], {type: "text/javascript"}));
  const widget = (await import(url)).default();
  const bytes = Uint8Array.from(atob(snapshot), (letter) => letter.charCodeAt(0));
  const handlers = {}, el = document.getElementById("cell");
  window.sent = [];
  window.number = 0;
  const model = {
    get: (name) => name === "kind" ? kind : new DataView(bytes.buffer),
    send: (message) => sent.push(message),
    on: (name, handler) => { handlers[name] = handler; },
    off: () => {},
  };
  window.post = (type, content) => handlers["msg:custom"]({type, number: ++number, now: Date.now() / 1000, ...content});
  window.postWhole = (snapshot) => {
    const bytes = new TextEncoder().encode(JSON.stringify({...snapshot, number: ++number, now: Date.now() / 1000}));
    handlers["msg:custom"]({type: "whole", number}, [new DataView(bytes.buffer)]);
  };
  widget.initialize({model});
  window.shut = widget.render({model, el});
}"""


class Drawing:
    """A drawing that is open in a page of its own."""

    def __init__(self, browser: Browser, kind: str, whole: dict[str, Any], width: int = 1200) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 800})
        self.page: Page = self.context.new_page()
        #: What went wrong in the page, and what it asked the network for.
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.errors.append("a dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: request.url.startswith("http") and self.errors.append(request.url))
        self.page.set_content('<!doctype html><body><div id="cell"></div></body>')
        self.page.add_style_tag(content=CSS)
        snapshot = msgspec.json.encode({"number": 0, "now": time.time(), **whole})
        self.page.evaluate(_BEGIN, [ESM, kind, base64.b64encode(snapshot).decode()])

    def __enter__(self) -> Drawing:
        return self

    def __exit__(self, *exc: object) -> None:
        fired = self.page.evaluate("window.fired")
        self.page.evaluate("shut()")
        self.context.close()
        if exc == (None, None, None):
            assert (self.errors, fired) == ([], None)

    def post(self, kind: str, **content: Any) -> None:
        """The kernel tells the page something."""
        self.page.evaluate("([kind, content]) => post(kind, content)", [kind, content])

    def whole(self, snapshot: dict[str, Any]) -> None:
        """The kernel tells the page all anew."""
        self.page.evaluate("snapshot => postWhole(snapshot)", snapshot)

    def sent(self, kind: str) -> list[dict[str, Any]]:
        """What the page has told the kernel, of this type."""
        return self.page.evaluate("kind => sent.filter((message) => message.type === kind)", kind)

    def texts(self, selector: str) -> list[str]:
        """The texts of these elements."""
        return self.page.locator(selector).all_text_contents()

    def wait(self, condition: str, argument: Any = None) -> None:
        """Wait until a JavaScript expression is true."""
        self.page.wait_for_function(condition, arg=argument, timeout=10_000)
