# SPDX-License-Identifier: GPL-2.0-only
"""Charts as SVG elements, to be put into a page that has colours for their classes."""

import html
import math

# Class of a bar, and the colour that it has.
COLORS = {"native": "native", "umbra-nested": "umbra", "umbra-shadow": "umbra2",
          "kvm-nested": "kvm", "kvm-shadow": "kvm2", "nested": "umbra", "shadow": "umbra2"}

_ROW = 18
_LABEL = 130
_BAR = 360
_VALUE = 90


def _text(x, y, content, anchor="start", kind=""):
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{html.escape(content)}</text>'


def _rect(x, y, width, height, kind, title):
    return (f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height}">'
            f"<title>{html.escape(title)}</title></rect>")


def _svg(width, height, parts, label):
    return (f'<svg role="img" aria-label="{html.escape(label)}" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}">{"".join(parts)}</svg>')


def bars(rows):
    """Return a chart of bars: rows are (label, class, value or None, the value in words)."""
    largest = max(value for _, _, value, _ in rows if value is not None)
    parts = []
    for number, (label, kind, value, words) in enumerate(rows):
        y = number * _ROW
        width = _BAR * max(0, value or 0) / largest if largest > 0 else 0
        parts += [_text(_LABEL - 8, y + 13, label, "end"), _text(_LABEL + width + 6, y + 13, words)]
        if value is not None:
            parts.append(_rect(_LABEL, y + 3, width, _ROW - 6, kind, f"{label}: {words}"))
    return _svg(_LABEL + _BAR + _VALUE, len(rows) * _ROW, parts, "ticks in each column")


def ratios(rows, octaves):
    """Return a chart of ratios around 1: rows are (label, {class: ratio}); so many octaves to each side."""
    middle, half = _LABEL + 2 * _BAR / 2, _BAR
    step = half / octaves
    top, height = 22, 26
    bottom = top + len(rows) * height
    parts = []
    for octave in range(-octaves, octaves + 1):
        x = middle + octave * step
        kind = ' class="one"' if octave == 0 else ""
        parts.append(f'<line{kind} x1="{x:.1f}" y1="{top - 4}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(_text(x, 12, f"{2 ** octave:g}" if octave >= 0 else f"1/{2 ** -octave}", "middle", "soft"))
    for number, (label, found) in enumerate(rows):
        y = top + number * height
        parts.append(_text(_LABEL - 8, y + 16, label, "end"))
        for place, (kind, value) in enumerate(found.items()):
            x = middle + math.log2(value) * step
            parts.append(_rect(min(x, middle), y + 3 + place * 10, abs(x - middle), 9, kind,
                               f"{label}, {kind}: {value:.2f}"))
    x = _LABEL
    for kind in ("nested", "shadow"):
        parts += [_rect(x, bottom + 8, 12, 12, kind, kind), _text(x + 18, bottom + 18, kind)]
        x += 90
    return _svg(_LABEL + 2 * _BAR + 20, bottom + 28, parts, "ratio of Umbra's ticks to KVM's in each row")
