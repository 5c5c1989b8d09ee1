"""Text as outlines for matplotlib: it scales with the picture, and a sign that no font has never raises a warning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.ft2font import FT2Font
    from matplotlib.path import Path

#: What stands for a sign that no font at hand has.
MISSING = "□"
#: Fonts worth a look for signs that DejaVu Sans lacks, and how many of them at most.
_OTHER_FONTS = re.compile(r"CJK|Fallback|Gothic|Mincho|WenQuanYi|YaHei|PingFang|Hiragino|Malgun|Unicode|Unifont|Symbol")
_MOST_FONTS = 20
_SIZE = 100


class Glyph(NamedTuple):
    """The outline of one sign at a size of 100, and how far it moves on."""

    vertices: np.ndarray
    codes: np.ndarray
    advance: float


class Glyphs:
    """The signs of one font and of those that stand in for it. FreeType's fonts are not for two threads at once."""

    def __init__(self, name: str) -> None:
        import matplotlib
        from matplotlib.ft2font import FT2Font

        self._fonts = [FT2Font(f"{matplotlib.get_data_path()}/fonts/ttf/{name}.ttf")]
        self._others: Iterator[FT2Font] | None = None
        self._glyphs: dict[str, Glyph] = {}
        self._loading = Lock()

    def path(self, text: str, x: float, y: float, size: float) -> Path:
        """The outline of `text` from x on, with y (downwards) as its base line."""
        import numpy as np
        from matplotlib.path import Path

        vertices, codes, at = [], [], 0.0
        for sign in text:
            if (glyph := self._glyphs.get(sign)) is None:
                with self._loading:
                    glyph = self._load(sign)
            if len(glyph.codes):
                vertices.append(glyph.vertices + np.array((at, 0.0)))
                codes.append(glyph.codes)
            at += glyph.advance
        if not vertices:
            return Path(np.empty((0, 2)))
        scale = size / _SIZE
        return Path(np.concatenate(vertices) * np.array((scale, -scale)) + np.array((x, y)), np.concatenate(codes))

    def _load(self, sign: str) -> Glyph:
        import numpy as np

        code = ord(sign)
        font = next((font for font in self._fonts if font.get_char_index(code)), None) or self._search(code)
        if font is None:
            glyph = Glyph(np.empty((0, 2)), np.empty(0), 0.0) if sign == MISSING else self._load(MISSING)
        else:
            font.set_size(_SIZE, 72)
            advance = font.load_char(code, flags=_no_hinting()).linearHoriAdvance / 65536
            glyph = Glyph(*font.get_path(), advance)
        self._glyphs[sign] = glyph
        return glyph

    def _search(self, code: int) -> FT2Font | None:
        """Another font with this sign; fonts are opened one by one, as they are needed."""
        if self._others is None:
            self._others = _other_fonts()
        for font in self._others:
            self._fonts.append(font)
            if font.get_char_index(code):
                return font
        return None


def _other_fonts() -> Iterator[FT2Font]:
    from matplotlib.font_manager import fontManager
    from matplotlib.ft2font import FT2Font

    found = sorted({entry.fname for entry in fontManager.ttflist if _OTHER_FONTS.search(entry.name)})
    for path in found[:_MOST_FONTS]:
        try:
            yield FT2Font(path)
        except (OSError, RuntimeError):  # a font of a kind that cannot be read
            continue


def _no_hinting() -> Any:
    from matplotlib import ft2font

    module: Any = ft2font
    return module.LoadFlags.NO_HINTING if hasattr(module, "LoadFlags") else module.LOAD_NO_HINTING  # before 3.10


@lru_cache(maxsize=4)
def glyphs(name: str = "DejaVuSans") -> Glyphs:
    """The glyphs of a font that comes with matplotlib, loaded once."""
    return Glyphs(name)
