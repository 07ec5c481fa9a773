"""Bar and line charts as SVG text: small, the same bytes everywhere, readable on light and dark ground.

They are written by hand because a plotting library's bytes change with its version and the fonts at hand, and
because a base installation can then draw.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

from toolkit_shared.report.numbers import format_number

WIDTH = 720
# Okabe and Ito's colours, told apart with any colour vision, without the two that vanish on white or black
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
_STYLE = (
    ".chart{color:#222;font:13px system-ui,sans-serif}.chart text{fill:currentColor}"
    ".chart .title{font-weight:600;font-size:15px}"
    "@media(prefers-color-scheme:dark){.chart{color:#ddd}}"
)
_LEFT, _RIGHT, _TOP, _LINE_TOP, _PLOT_HEIGHT, _LINE_HEIGHT = 70, 20, 40, 60, 260, 20


def bar_chart(
    title: str,
    values: Mapping[str, float],
    *,
    unit: str = "",
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> str:
    """A horizontal bar for each name, its value beside the name; SVG text.

    Args:
        title: over the chart.
        values: finite, in the order to be shown; bars begin at 0, so mixed signs go both ways.
        unit: of the values.
        ranges: lowest and highest value of a name, drawn as a thin line over its bar.

    Raises:
        ValueError: no values, or one that is not finite.
    """
    spans = ranges or {}
    _check([*values.values(), *(end for span in spans.values() for end in span)])
    reach = [0.0, *values.values(), *(end for span in spans.values() for end in span)]
    low, high = min(reach), max(reach)
    high = high if high > low else low + 1.0
    scale = (WIDTH - 2 * _RIGHT) / (high - low)

    def x(value: float) -> str:
        return f"{_RIGHT + (value - low) * scale:.1f}"

    parts = []
    for index, (name, value) in enumerate(values.items()):
        top = _TOP + 44 * index
        left, right = sorted((0.0, value))
        label = f"{name}: {format_number(value)} {unit}".rstrip()
        if name in spans and spans[name][0] < spans[name][1]:
            label += f" ({format_number(spans[name][0])} to {format_number(spans[name][1])})"
        parts.append(f'<text x="{_RIGHT}" y="{top + 12}">{escape(label)}</text>')
        parts.append(
            f'<rect x="{x(left)}" y="{top + 18}" width="{(right - left) * scale:.1f}" height="14" '
            f'fill="{COLOURS[index % len(COLOURS)]}"/>'
        )
        if name in spans:
            a, b = spans[name]
            parts.append(
                f'<path d="M{x(a)} {top + 21}v8M{x(a)} {top + 25}H{x(b)}M{x(b)} {top + 21}v8" '
                'stroke="currentColor" fill="none"/>'
            )
    return _svg(title, _TOP + 44 * len(values) + 4, parts)


def line_chart(
    title: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
) -> str:
    """A line for each name through its (x, y) points, a legend below; SVG text.

    Args:
        title: over the chart.
        lines: points by name, finite, in the order to be joined.
        x_label: with its unit.
        y_label: with its unit.
        log_x: logarithmic x axis; every x is above 0 then.
        log_y: logarithmic y axis; every y is above 0 then.

    Raises:
        ValueError: no points, one that is not finite, or one that a logarithmic axis cannot show.
    """
    points = [point for line in lines.values() for point in line]
    across = _Axis([x for x, _ in points], log_x, _LEFT, WIDTH - _RIGHT)
    up = _Axis([y for _, y in points], log_y, _LINE_TOP + _PLOT_HEIGHT, _LINE_TOP)
    bottom = _LINE_TOP + _PLOT_HEIGHT
    parts = [
        f'<path d="M{_LEFT} {_LINE_TOP}V{bottom}H{WIDTH - _RIGHT}" stroke="currentColor" fill="none"/>',
        f'<text x="{WIDTH - _RIGHT}" y="{bottom + 36}" text-anchor="end">{escape(x_label)}</text>',
        f'<text x="{_RIGHT}" y="{_LINE_TOP - 12}">{escape(y_label)}</text>',
    ]
    for value in across.ticks:
        place = f"{across.at(value):.1f}"
        parts.append(f'<path d="M{place} {bottom}v5" stroke="currentColor"/>')
        parts.append(
            f'<text x="{place}" y="{bottom + 18}" text-anchor="middle">{format_number(value)}</text>'
        )
    for value in up.ticks:
        height = up.at(value)
        parts.append(
            f'<path d="M{_LEFT} {height:.1f}H{WIDTH - _RIGHT}" stroke="currentColor" stroke-opacity=".15"/>'
        )
        parts.append(
            f'<text x="{_LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{format_number(value)}</text>'
        )
    for index, (name, line) in enumerate(lines.items()):
        corners = [(across.at(x), up.at(y)) for x, y in line]
        parts += _line(corners, name, index, bottom + 56 + _LINE_HEIGHT * index)
    return _svg(title, bottom + 60 + _LINE_HEIGHT * len(lines), parts)


def _line(corners: Sequence[tuple[float, float]], name: str, index: int, legend: int) -> list[str]:
    """A line through points of the picture, and its name at the height `legend`."""
    colour = COLOURS[index % len(COLOURS)]
    # a name beyond the colours is told apart by its dashes
    dashes = f' stroke-dasharray="{2 + 3 * (index // len(COLOURS))} 3"' if index >= len(COLOURS) else ""
    pen = f'stroke="{colour}" stroke-width="2" fill="none"{dashes}'
    parts = ['<polyline points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in corners) + f'" {pen}/>']
    if len(corners) == 1:
        x, y = corners[0]
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
    parts.append(f'<path d="M{_LEFT} {legend - 4}h24" {pen}/>')
    parts.append(f'<text x="{_LEFT + 32}" y="{legend}">{escape(name)}</text>')
    return parts


class _Axis:
    """Where values lie between two ends of the picture, and which of them are marked."""

    def __init__(self, values: Sequence[float], logarithmic: bool, start: float, end: float) -> None:
        _check(values)
        if logarithmic and min(values) <= 0:
            raise ValueError("a logarithmic axis shows values above 0 only")
        self.logarithmic, self.start, self.end = logarithmic, start, end
        low, high = min(values), max(values)
        if low == high:
            low, high = (
                (low / 2, high * 2) if logarithmic else (low - abs(low) / 2 - 0.5, high + abs(high) / 2 + 0.5)
            )
        if logarithmic:
            self.ticks = _powers(low, high)
        else:
            self.ticks = _steps(low, high)
            low, high = min(low, self.ticks[0]), max(high, self.ticks[-1])
        self.low, self.high = self._position(low), self._position(high)

    def at(self, value: float) -> float:
        share = (self._position(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def _position(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value


def _steps(low: float, high: float) -> list[float]:
    """About five round values from `low` to `high`."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [float(f"{index * step:.10g}") for index in range(first, last + 1)]


def _powers(low: float, high: float) -> list[float]:
    """Powers of ten within the range, every second one or fewer if they are many; else the ends."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    every = max(1, math.ceil((last - first + 1) / 7))
    powers = [10.0**exponent for exponent in range(first, last + 1, every)]
    return powers if len(powers) >= 2 else [low, high]


def _check(values: Sequence[float]) -> None:
    if not values:
        raise ValueError("a chart needs values")
    if not all(math.isfinite(value) for value in values):
        raise ValueError("a chart shows finite values only")


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}">'
    )
    name = escape(title)
    shown = f'<text class="title" x="{_RIGHT}" y="20">{name}</text>'
    return "\n".join([head, f"<title>{name}</title><style>{_STYLE}</style>", shown, *parts, "</svg>"]) + "\n"
