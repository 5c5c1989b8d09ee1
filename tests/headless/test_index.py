"""The page and the gallery of a batch: complete, inert, bounded."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from PIL import Image

from orchestrator_nb.core.tasks import TaskStatus
from orchestrator_nb.headless import index
from orchestrator_nb.headless.index import Heading, gallery, page, thumbnail
from orchestrator_nb.headless.results import Result
from tests.headless.test_results import result

HEADING = Heading("Sweep <1>", "/home/me/sweep.ipynb", "20250112-143000-ab12c", "failed", 0.0, 12.0)
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>$x$ \x1b[31m\u202e https://evil.example/"


def png(width: int = 800, height: int = 600) -> bytes:
    picture = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGBA").save(picture, "PNG")
    return picture.getvalue()


def reader(content: bytes) -> Callable[[str], bytes]:
    return lambda _: content


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


def rows() -> list[Result]:
    failed = {"status": TaskStatus.FAILED, "error": f"cell 2 failed: {HOSTILE}\n{HOSTILE}", "cell": HOSTILE}
    return [
        result("x_1", {"x": 1, "text": HOSTILE, "same": 5}, {"score": 0.123456789}, picture="pictures/x_1.png"),
        result("x_2", {"x": 2, "same": 5}, {"score": 2, "note": HOSTILE}, picture="pictures/x_2.png", **failed),
        result("a b/ü#1", {"x": 3, "same": 5}, status=TaskStatus.BLOCKED, duration=None, result=HOSTILE),
    ]


def test_the_page_tells_everything() -> None:
    html = page(HEADING, rows(), reader(png()))
    seen = Page(html)
    for words in ("1 completed · 1 failed · 1 blocked", "12s", "0.123457", "Sweep <1>", "1 failed run", "same = 5"):
        assert words in seen.text
    again = "orchestrate retry x_2 -s 20250112-143000-ab12c && orchestrate resume 20250112-143000-ab12c"
    assert again in seen.text
    assert seen.tags.count("img") == 2
    assert "x_2.ipynb#papermill-error-cell" in seen.addresses
    assert "a%20b/%C3%BC%231.ipynb" in seen.addresses


def test_a_page_holds_no_script_and_no_address_from_elsewhere() -> None:
    html = page(HEADING, rows(), reader(png()))
    seen = Page(html)
    allowed = {"html", "head", "meta", "title", "style", "body", "header", "section", "h1", "h2", "p", "code", "pre",
               "div", "span", "a", "b", "small", "br", "details", "summary", "table", "thead", "tbody", "tr", "th",
               "td", "img"}  # fmt: skip
    assert set(seen.tags) <= allowed
    assert not any(name.startswith("on") for name in seen.attributes)
    assert [address for address in seen.addresses if re.match(r"\s*(https?:|//|javascript:|file:)", address)] == []
    assert all(address.startswith("data:image/png;base64,") for address in re.findall(r'src="([^"]*)"', html))
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "default-src 'none'" in html
    assert "url(" not in html


def test_a_gallery_has_pictures_table_and_text() -> None:
    bundle = gallery(rows(), reader(png()), "out")
    seen = Page(bundle["text/html"])
    assert set(seen.tags) <= {
        "div",
        "img",
        "br",
        "small",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "p",
        "code",
        "span",
    }
    assert seen.tags.count("img") == 2
    assert "x = 1" in seen.text
    assert bundle["text/plain"].splitlines()[-1] == "Files: out"
    assert "✅ Completed x_1: score = 0.123457" in bundle["text/plain"]
    assert not re.search(r"\n\s*\n", bundle["text/html"])


def test_a_gallery_keeps_within_its_budget_and_says_what_it_leaves_out() -> None:
    many = [result(f"r{n}", {"n": n}, picture=f"pictures/r{n}.png") for n in range(1000)]
    noise = io.BytesIO()
    Image.effect_noise((400, 300), 80).save(noise, "PNG")
    bundle = gallery(many, reader(noise.getvalue()), "out")
    assert len(bundle["text/html"]) < index.GALLERY_PICTURES + 100_000
    assert re.search(r"[\d,]+ more pictures in <code>out</code>", bundle["text/html"])
    assert "900 more runs" in bundle["text/html"]
    assert "900 more runs" in bundle["text/plain"]


def test_a_thumbnail_is_small_and_of_pixels_only() -> None:
    address = thumbnail(png(3000, 200))
    assert address is not None
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as picture:
        assert picture.size == (360, 24)
        assert picture.info == {} or set(picture.info) <= {"transparency"}


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"<svg onload=alert(1)>", png()[:200], b"GIF89a"])
def test_what_is_no_picture_is_left_out(content: bytes) -> None:
    assert thumbnail(content) is None


def test_a_picture_that_unpacks_to_very_much_is_left_out() -> None:
    bomb = io.BytesIO()
    Image.new("1", (14_000, 14_000)).save(bomb, "PNG")
    assert thumbnail(bomb.getvalue()) is None
    assert "picture</a>" in page(HEADING, rows()[:1], reader(bomb.getvalue()))
