"""Text of an agent inside our document: as a quotation if it is harmless Markdown, else as a fenced block.

A quotation ends where we end it, whatever is in it; what could still act outside of it (raw HTML, definitions of
links) or pass for a part of our document (headings) is found by parsing, before and after. Remote pictures are not
taken over either: looking at a document must not call anybody.
"""

from __future__ import annotations

import re
from typing import Any

from orchestrator_nb.projections.text import clean, fence, link

#: Characters of one text that the document takes in, and of those that are read as Markdown.
LIMIT = 20_000


def embed(text: str, *, printed: bool, file: str) -> str:
    """Markdown that shows `text`; a `printed` one keeps its lines. A long one is cut, with a link to its `file`."""
    shown = clean(text).strip("\n")
    more = ""
    if len(shown) > LIMIT:
        shown = shown[:LIMIT].rpartition("\n")[0] or shown[:LIMIT]
        more = f"\n… the rest is in {link(file.rpartition('/')[2], file)}\n" if file else "\n…\n"
    if not shown.strip():
        return "_(empty)_\n"
    quoted = None if printed else _quotation(shown)
    return (quoted or fence(shown, "text")) + more


def unquoted(text: str) -> str:
    """`text` as a part of our document, if it stays one whatever it holds; else as a fenced block. Ends with a newline.

    For words that an agent was asked to write into the document; everything else is shown by `embed`.
    """
    shown = clean(text, LIMIT).strip("\n")
    if not shown.strip():
        return "_(empty)_\n"
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    lines = shown.split("\n")
    for token in reversed(parser.parse(shown)):
        if token.type == "heading_open" and token.level == 0 and token.map:
            start, end = token.map
            lines[start:end] = _bold(lines, start, end)
    plain = "\n".join(lines)
    environment: dict[str, Any] = {}
    tokens = parser.parse(f"{plain}\n\n{_END}\n", environment)
    ended = (
        tokens[-3:-1] and tokens[-3].type == "paragraph_open" and tokens[-3].level == 0 and tokens[-2].content == _END
    )
    acts = any(part.type in _UNWANTED for token in tokens for part in (token, *(token.children or ())))
    if ended and not acts and not environment.get("references") and not _BAD_LINK.search(plain):
        return f"{plain}\n"
    return fence(shown, "text")


#: A paragraph that must still be one after what an agent wrote.
_END = "end of section"


def _quotation(text: str) -> str | None:
    """`text` as a block quotation with its headings in bold, or None if it holds what must not be quoted."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    lines = text.split("\n")
    for token in reversed(parser.parse(text)):
        if token.type == "heading_open" and token.level == 0 and token.map:
            start, end = token.map
            lines[start:end] = _bold(lines, start, end)
    quoted = "".join(f"> {line}".rstrip() + "\n" for line in lines)
    environment: dict[str, Any] = {}
    tokens = parser.parse(quoted, environment)
    return quoted if _is_harmless(tokens, environment) and not _BAD_LINK.search(text) else None


#: What makes a line a heading, before its words and after them.
_HASHES = re.compile(r"^ {0,3}#{1,6}(?=[ \t]|$)|[ \t]#+[ \t]*$")
_BAD_LINK = re.compile(r"[(<:]\s*(?:javascript|vbscript|data):", re.IGNORECASE)
_UNWANTED = frozenset(["heading_open", "html_block", "html_inline", "image"])


def _bold(lines: list[str], start: int, end: int) -> list[str]:
    """What stands for the heading in these lines: a paragraph in bold."""
    heading = lines[start : end - 1] or [_HASHES.sub("", lines[start])]  # underlined, or one line with hashes
    title = " ".join(line.strip() for line in heading)
    before = [""] if start and lines[start - 1].strip() else []
    after = [""] if end < len(lines) and lines[end].strip() else []
    return [*before, f"**{title}**" if title and "*" not in title else title, *after]


def _is_harmless(tokens: list[Any], environment: dict[str, Any]) -> bool:
    """Whether all of it is in one quotation, and nothing in there reaches out of it."""
    if environment.get("references"):
        return False
    if [token.type for token in tokens if token.level == 0] != ["blockquote_open", "blockquote_close"]:
        return False
    return not any(part.type in _UNWANTED for token in tokens for part in (token, *(token.children or ())))
