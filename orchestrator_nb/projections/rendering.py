r"""Text from outside as HTML: the one way there is, for notebooks, saved files and widgets alike.

Only what these functions return may reach `HTML()`, a ``text/html`` output or `innerHTML`. Two walls stand between an
agent's text and the page: Markdown is read without raw HTML, and whatever comes of that is filtered by an allow-list
(nh3), which knows no script, style, form, frame or remote picture, and no attribute but a few harmless ones. What is
left also survives JupyterLab's own sanitizer for untrusted notebooks.

Three things more, for the places where the HTML ends up. JupyterLab and nbconvert typeset ``$...$`` and ``\(...\)`` in
HTML outputs with MathJax, where ``\href`` makes links: each delimiter is put into an element of its own, so that none
finds its partner. JupyterLab aligns tables to the right: cells say how they are aligned. And a blank line would end the
HTML where a page embeds it in Markdown (nbconvert): there is none.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from orchestrator_nb.core.reports import report_from
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.projections.result_files import report_markdown
from orchestrator_nb.projections.text import MAX_TEXT, clean, one_line

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

#: Characters of one text that are read as Markdown, and as plain text, unless asked otherwise.
MAX_MARKDOWN = 64 * 1024
MAX_PLAIN = MAX_TEXT
#: Bytes of a picture that may be shown, and characters of HTML that one text may become without its pictures.
MAX_IMAGE = 1024 * 1024
MAX_HTML = 512 * 1024

#: Blocks, or emphases, in one another. Filtering is quadratic in them, and the parser drops what is nested deeper: such
#: a text is shown as it is written.
_MAX_DEPTH = 24

_TAGS = {
    *("p", "br", "hr", "h4", "h5", "h6", "blockquote", "ul", "ol", "li", "pre", "code"),
    *("strong", "em", "s", "span", "a", "img", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {"a": {"href"}, "img": {"src", "alt"}, "ol": {"start"}, "th": {"style"}, "td": {"style"}}
_ALIGNMENTS = frozenset(["text-align:left", "text-align:center", "text-align:right"])
_SCHEMES = frozenset(["http", "https", "mailto"])
_MAGIC = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF87a": "gif", b"GIF89a": "gif"}

Links = Callable[[str], str | None]


def markdown_html(
    text: str, *, images: Mapping[str, bytes] | None = None, links: Links | None = None, limit: int = MAX_MARKDOWN
) -> str:
    """`text`, read as Markdown (CommonMark, tables, strikethrough); its headings rank below ours, from ``h4`` on.

    `images` are the pictures that may be shown, by the path that the text gives: PNG, JPEG or GIF, told by their first
    bytes and put into the page. Any other picture, remote ones above all, is told in words: looking at a text must not
    call anybody. `links` turns the path of a file into an address that works where the HTML is shown, or None; without
    it only the words of such a link are shown. What is beyond `limit` characters is counted in a last paragraph, and
    what is nested beyond reason is shown as `plain_html` does.
    """
    if not isinstance(text, str):
        raise TypeError(f"Markdown is text, not {type(text).__name__}")
    shown = clean(text[:limit])
    tokens = _parser().parse(shown)
    if _depth(tokens) >= _MAX_DEPTH - 1:
        return plain_html(text, limit)
    page = _Page(images or {}, links)
    for token in tokens:
        page.prepare(token)
    html = _parser().renderer.render(tokens, _parser().options, {})
    if len(html) - page.pictures > MAX_HTML:
        return plain_html(text, limit)
    return _unbroken(page.filtered(html)) + more_characters(len(text) - limit)


def plain_html(text: str, limit: int = MAX_PLAIN) -> str:
    """`text` as it is, in a block of fixed width; what is beyond `limit` characters is counted below."""
    shown = escape(clean(text[:limit]))
    return f"<pre>{_unbroken(shown)}</pre>{more_characters(len(text) - limit)}"


def text_html(text: str, width: int = 200) -> str:
    """`text` as one line of at most `width` characters, for headings, table cells and sentences."""
    return _inert(one_line(text, width))


def value_html(
    value: Any,
    format: str = "",  # noqa: A002 - the name that a plan gives it
    *,
    printed: bool = False,
    images: Mapping[str, bytes] | None = None,
    links: Links | None = None,
    limit: int = MAX_MARKDOWN,
) -> str:
    """A task's result, read as `format` (text, json or report) says: Markdown, or indented JSON.

    A text that a program `printed` keeps its lines instead of being read as Markdown.
    """
    if format == "report":
        try:
            return markdown_html(report_markdown(report_from(value)), images=images, links=links, limit=limit)
        except OrchestratorError:
            pass  # it was checked when the task completed: whatever this is, show it as it is
    if isinstance(value, str) and format != "json":
        if printed:
            return plain_html(value, limit)
        return markdown_html(value, images=images, links=links, limit=limit)
    try:
        return plain_html(json.dumps(value, ensure_ascii=False, indent=2, default=str), limit)
    except (RecursionError, ValueError):
        return "<p>(nested too deeply to be shown)</p>"


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    options = {"html": False, "linkify": False, "typographer": False, "maxNesting": _MAX_DEPTH}
    return MarkdownIt("commonmark", options).enable(["table", "strikethrough"])


def _depth(tokens: Sequence[Token]) -> int:
    """How deep blocks lie in one another, or what lies in a paragraph."""
    levels = [token.level for block in tokens for token in (block, *(block.children or ()))]
    return max(levels, default=0)


class _Page:
    """What one text may show and link to: prepares its tokens, and filters what comes of them."""

    def __init__(self, images: Mapping[str, bytes], links: Links | None) -> None:
        self._images = images
        self._links = links
        #: Addresses that are ours, so that the filter lets them through.
        self._sources: set[str] = set()
        self._targets: set[str] = set()
        #: Characters of the pictures that are shown.
        self.pictures = 0
        self._in_heading = False

    def prepare(self, token: Token) -> None:
        """Make a block safe to render: every text and picture in it becomes HTML that is ours."""
        match token.type:
            case "heading_open" | "heading_close":  # bold, because small headings look like text in some places
                token.tag = f"h{min(6, int(token.tag[1:]) + 3)}"
                self._in_heading = token.type == "heading_open"
            case "th_open" | "td_open":
                token.attrs = {"style": token.attrs.get("style", "text-align:left")}
            case "inline":
                token.children = self._prepared(token.children or [])

    def _prepared(self, tokens: list[Token]) -> list[Token]:
        linked = True
        for token in tokens:
            match token.type:
                case "text":
                    token.type, token.content = "html_inline", _inert(token.content)
                case "image":
                    token.type, token.content = "html_inline", self._picture(token)
                case "link_open":
                    target = self._target(str(token.attrs.get("href", "")))
                    linked, token.hidden = target is not None, target is None
                    token.attrs = {"href": target or ""}
                case "link_close":  # links do not lie in one another
                    token.hidden = not linked
        return [_html("<strong>"), *tokens, _html("</strong>")] if self._in_heading else tokens

    def _target(self, href: str) -> str | None:
        """Where a link leads, or None if nowhere."""
        scheme = _scheme(href)
        if scheme in _SCHEMES:
            return href
        target = self._links(unquote(href)) if scheme == "" and self._links is not None else None
        if target is None or _scheme(target) not in {"", *_SCHEMES}:
            return None
        self._targets.add(target)
        return target

    def _picture(self, token: Token) -> str:
        source, words = str(token.attrs.get("src", "")), one_line(token.content, 200)
        content = self._images.get(unquote(source), b"")
        kind = next((kind for magic, kind in _MAGIC.items() if content.startswith(magic)), None)
        if kind is None or len(content) > MAX_IMAGE:
            return _inert(f"[picture: {words or 'without words'}, {one_line(source, 100)}]")
        address = f"data:image/{kind};base64,{b64encode(content).decode()}"
        self._sources.add(address)
        self.pictures += len(address)
        return f'<img src="{address}" alt="{escape(words)}">'

    def filtered(self, html: str) -> str:
        """Without anything that is not on the list."""
        import nh3

        return nh3.clean(
            html,
            tags=_TAGS,
            clean_content_tags={"script", "style"},
            attributes=_ATTRIBUTES,
            attribute_filter=self._kept,
            url_schemes={*_SCHEMES, "data"},
            link_rel="noopener noreferrer",
        )

    def _kept(self, tag: str, attribute: str, value: str) -> str | None:
        match tag, attribute:
            case "a", "href":
                kept = value in self._targets or _scheme(value) in _SCHEMES
            case "img", "src":
                kept = value in self._sources
            case _, "style":
                kept = value in _ALIGNMENTS
            case _:
                kept = True
        return value if kept else None


def _html(markup: str) -> Token:
    from markdown_it.token import Token

    return Token("html_inline", "", 0, content=markup)


def _scheme(address: str) -> str | None:
    """The scheme of an address, ``""`` for a path, None for what is neither (another host's path, a part of a page)."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    if parts.scheme:
        return parts.scheme
    return "" if parts.path and not parts.netloc and "\\" not in address else None


_DELIMITER = re.compile(r"[$\\]")


def _inert(text: str) -> str:
    """Clean `text` as HTML in which nothing is typeset."""
    return _DELIMITER.sub(r"<span>\g<0></span>", escape(text))


_BEFORE_BLANK = re.compile(r"\n(?=[ \t]*\n)")


def _unbroken(html: str) -> str:
    """The same without blank lines."""
    return _BEFORE_BLANK.sub("&#10;", html)


def more_characters(left_out: int) -> str:
    """How much of a text is left out, if anything is."""
    return f"<p>… [{left_out:,} more characters]</p>" if left_out > 0 else ""
