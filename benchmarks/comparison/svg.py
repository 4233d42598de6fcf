"""Plots as SVG: bars with their range, and curves. No colour is needed to tell a
bar from the other; the groups have one for the eye's sake."""

import math
from xml.sax.saxutils import escape

_COLOURS = {"raw": "#8d99a6", "peer": "#c9832b", "weir": "#2f7d5b"}
_TEXT = "font-family='system-ui, sans-serif' font-size='12' fill='#333'"
_LINES = (
    "#2f7d5b",
    "#c9832b",
    "#8d99a6",
    "#3b6ea5",
    "#a23b54",
    "#6b5b95",
    "#4c4c4c",
    "#7a9a01",
)
_DASHES = ("none", "6 3", "2 3", "8 3 2 3")


def _number(value):
    if value == 0:
        return "0"
    digits = max(0, 2 - int(math.floor(math.log10(abs(value)))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _document(width, height, parts, title):
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
            f"role='img' aria-label='{escape(title, {chr(39): '&#39;'})}'>",
            f"<rect width='{width}' height='{height}' fill='#fff'/>",
            f"<text x='12' y='20' {_TEXT} font-weight='600'>{escape(title)}</text>",
            *parts,
            "</svg>\n",
        ]
    )


def bars(title, unit, rows):
    """`rows`: (label, group, median, lowest, highest), in the order drawn."""
    left, width, step, top = 190, 760, 22, 34
    plot = width - left - 90
    most = max(row[4] for row in rows) or 1
    parts = []
    for i, (label, group, median, lowest, highest) in enumerate(rows):
        y = top + i * step
        length = plot * median / most
        parts.append(
            f"<text x='{left - 8}' y='{y + 14}' {_TEXT} text-anchor='end'>"
            f"{escape(label)}</text>"
            f"<rect x='{left}' y='{y + 3}' width='{length:.1f}' height='14' "
            f"fill='{_COLOURS[group]}'/>"
        )
        if highest > lowest:
            x1, x2 = (left + plot * value / most for value in (lowest, highest))
            parts.append(
                f"<path d='M{x1:.1f} {y + 10}H{x2:.1f}M{x1:.1f} {y + 6}v8"
                f"M{x2:.1f} {y + 6}v8' stroke='#222' fill='none'/>"
            )
        end = left + plot * max(median, highest) / most
        parts.append(
            f"<text x='{end + 6:.1f}' y='{y + 14}' {_TEXT}>{_number(median)}</text>"
        )
    bottom = top + len(rows) * step
    parts.append(
        f"<text x='{left}' y='{bottom + 16}' {_TEXT} fill-opacity='.7'>"
        f"{escape(unit)}; bar: median, line: range</text>"
    )
    return _document(width, bottom + 26, parts, title)


def curves(title, x_label, y_label, series):
    """`series`: label -> [(x, y)], x on a logarithmic axis, y from 0."""
    left, top, width, height = 60, 34, 760, 340
    plot_width, plot_height = 460, height - top - 46
    xs = sorted({x for points in series.values() for x, _ in points})
    most = max(y for points in series.values() for _, y in points) or 1
    low, high = math.log(xs[0]), math.log(xs[-1]) if xs[-1] > xs[0] else 1

    def at(x, y):
        return (
            left + plot_width * (math.log(x) - low) / (high - low or 1),
            top + plot_height * (1 - y / most),
        )

    parts = []
    for tick in range(5):
        value = most * tick / 4
        _, y = at(xs[0], value)
        parts.append(
            f"<path d='M{left} {y:.1f}H{left + plot_width}' stroke='#ddd'/>"
            f"<text x='{left - 6}' y='{y + 4:.1f}' {_TEXT} text-anchor='end'>"
            f"{_number(value)}</text>"
        )
    for x_value in xs:
        x, y = at(x_value, 0)
        parts.append(
            f"<text x='{x:.1f}' y='{y + 18:.1f}' {_TEXT} text-anchor='middle'>"
            f"{x_value:,}</text>"
        )
    for i, (label, points) in enumerate(series.items()):
        colour, dash = _LINES[i % len(_LINES)], _DASHES[i // len(_LINES) % 4]
        path = " ".join(
            f"{'L' if n else 'M'}{x:.1f} {y:.1f}"
            for n, (x, y) in enumerate(at(*point) for point in points)
        )
        y = top + 8 + i * 18
        parts.append(
            f"<path d='{path}' stroke='{colour}' stroke-width='2' fill='none' "
            f"stroke-dasharray='{dash}'/>"
            f"<path d='M{left + plot_width + 20} {y}h24' stroke='{colour}' "
            f"stroke-width='2' stroke-dasharray='{dash}'/>"
            f"<text x='{left + plot_width + 50}' y='{y + 4}' {_TEXT}>"
            f"{escape(label)}</text>"
        )
    parts.append(
        f"<text x='{left}' y='{height - 8}' {_TEXT} fill-opacity='.7'>"
        f"{escape(y_label)}, against {escape(x_label)}</text>"
    )
    return _document(width, height, parts, title)
