"""The form of a line from its corners, as path data of SVG: what SVG and PNG both draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

#: Graphs of more edges than this are drawn with corners instead of curves.
CURVED = 2000
#: Radius of the corners of lines that run in lanes.
ROUND = 6


def cornered(routes: Sequence[Sequence[int]]) -> str:
    """All `routes`, straight from corner to corner: path data separates numbers by commas just as JSON does."""
    return f"M{'M'.join(joined(routes))}" if routes else ""


def joined(groups: Iterable[Sequence[int]]) -> list[str]:
    """The numbers of each group, with commas between them: all written at once, as thousands are needed.

    No group is empty.
    """
    return msgspec.json.encode(groups)[2:-2].decode().split("],[")


def curved(route: Sequence[int], *, down: bool) -> str:
    """Curves where the line changes its place; straight along lanes, with round corners between them.

    All lines between two layers have the same form, so they cross as often as if they were straight.
    """
    corners = list(zip(route[::2], route[1::2], strict=True))
    x, y = corners[0]
    parts = [f"M{x} {y}"]
    for (to_x, to_y), following in zip(corners[1:], [*corners[2:], None], strict=True):
        if to_x != x and to_y != y:
            middle = (y + to_y) // 2 if down else (x + to_x) // 2
            parts.append(f"C{x} {middle} {to_x} {middle}" if down else f"C{middle} {y} {middle} {to_y}")
            parts.append(f" {to_x} {to_y}")
        elif following and (following[0] == to_x != x or following[1] == to_y != y):
            parts.append(f"L{_towards(to_x, x)} {_towards(to_y, y)}Q{to_x} {to_y} ")
            parts.append(f"{_towards(to_x, following[0])} {_towards(to_y, following[1])}")
        else:
            parts.append(f"L{to_x} {to_y}")
        x, y = to_x, to_y
    return "".join(parts)


def _towards(place: int, other: int) -> int:
    """`place`, moved a corner's radius towards `other`."""
    return place + max(-ROUND, min(ROUND, (other - place) // 2))
