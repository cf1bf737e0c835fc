# SPDX-License-Identifier: Apache-2.0
"""The figures of a run as a picture: for each case, link and figure one bar a side, the longest of them as wide as its column."""
from xml.sax.saxutils import escape

from sides import LITERAL

SIDES = (("libvirt", "libvirt", "#8a8f98"), (LITERAL, "Drover without references", "#7fb0e6"), ("drover", "Drover", "#1f5fa8"))
COLUMNS = (("wire", "wire_bytes", "{:.0f} MB", 1e-6), ("wall", "wall_s", "{:.1f} s", 1), ("pause", "pause_ms", "{:.0f} ms", 1),
           ("silence", "silence_ms", "{:.0f} ms", 1))
LEFT, TOP, COLUMN, BAR, GAP = 150, 56, 200, 14, 18
BAR_MOST = 130


def text(x, y, said, more=""):
    return f'<text x="{x}" y="{y}"{more}>{escape(said)}</text>'


def bars(x, y, result, sides, figure, form, scale):
    """One figure of one case: a bar for each side, with its number behind it."""
    values = [result[side].get(figure) for side, _, _ in sides]
    most = max((value for value in values if value is not None), default=0) or 1
    parts = []
    for row, (value, (_, _, colour)) in enumerate(zip(values, sides)):
        top = y + row * BAR
        width = 0 if value is None else max(1, round(BAR_MOST * value / most))
        parts.append(f'<rect x="{x}" y="{top}" width="{width}" height="{BAR - 3}" fill="{colour}"/>')
        parts.append(text(x + width + 4, top + BAR - 4, "-" if value is None else form.format(value * scale)))
    return parts


def legend(sides):
    parts, x = [], LEFT
    for _, name, colour in sides:
        parts += [f'<rect x="{x}" y="8" width="12" height="12" fill="{colour}"/>', text(x + 17, 18, name)]
        x += 40 + 7 * len(name)
    return parts


def draw(results):
    """The whole picture; cases that only one side has are left out."""
    rows = [result for result in results if "libvirt" in result and "drover" in result]
    sides = [side for side in SIDES if any(side[0] in result for result in rows)]
    parts = legend(sides)
    parts += [text(LEFT + COLUMN * number, TOP - 12, name, ' font-weight="bold"') for number, (name, *_) in enumerate(COLUMNS)]
    y = TOP
    for result in rows:
        shown = [side for side in sides if side[0] in result]
        parts.append(text(8, y + BAR - 4, result["case"]))
        parts.append(text(8, y + 2 * BAR - 4, result["link"]))
        for number, (_, figure, form, scale) in enumerate(COLUMNS):
            parts += bars(LEFT + COLUMN * number, y, result, shown, figure, form, scale)
        y += len(shown) * BAR + GAP
    width = LEFT + COLUMN * len(COLUMNS)
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" viewBox="0 0 {width} {y}" '
            'font-family="sans-serif" font-size="11">')
    return "\n".join([head, f'<rect width="{width}" height="{y}" fill="white"/>', *parts, "</svg>"]) + "\n"
