"""What a Markdown document is made of, for a reader that knows CommonMark, tables and strikethrough."""

from __future__ import annotations

from markdown_it import MarkdownIt
from markdown_it.token import Token

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def skeleton(document: str) -> list[str]:
    """Its blocks in order, tables with every cell, headings of level 2 with their words, and what is clickable.

    An embedded text, whether fenced or quoted, counts as one block, but for what must not be in it.
    """
    shape: list[str] = []
    quoted = 0
    tokens = PARSER.parse(document)
    for at, token in enumerate(tokens):
        if token.type == "blockquote_open":
            quoted += 1
            if quoted == 1:
                shape.append("embedded")
        elif token.type == "blockquote_close":
            quoted -= 1
        elif quoted:
            inside = [token.type, *(child.type for child in token.children or ())]
            shape += [f"embedded {kind}" for kind in inside if kind in _UNWANTED]
        elif token.type == "fence":
            shape.append("embedded")
        elif token.type == "inline":
            shape += [child.type for child in token.children or () if child.type in _ACTIVE]
        else:
            words = tokens[at + 1].content if (token.type, token.tag) == ("heading_open", "h2") else ""
            shape.append(f"{token.type} {token.tag} {words}")
    return shape


_UNWANTED = {"heading_open", "html_block", "html_inline", "image"}
_ACTIVE = {"link_open", "image", "html_inline", "softbreak", "hardbreak"}


def shown(document: str) -> str:
    """The text that a reader sees, without its markup."""
    return "\n".join(_text(token) for token in PARSER.parse(document) if token.type in ("inline", "fence"))


def _text(token: Token) -> str:
    if token.type == "fence":
        return token.content
    return "".join(child.content for child in token.children or ())
