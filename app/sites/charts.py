"""Charts as SVG: drawn on the server, coloured by the style sheet. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 26
SPARK_WIDTH, SPARK_HEIGHT = 160, 32
STEPS = (1, 2, 5)
LABELS = 6
"""Maximum number of labels under a chart."""


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart for a template: areas as SVG paths, lines and labels with their places."""

    visits: str
    visitors: str
    rows: Sequence[Tick]
    columns: Sequence[Tick]
    points: Sequence[tuple[float, str, int, int]]
    """(x, label, visits, visitors) of each point, for its tooltip."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT


def chart(labels: Sequence[str], visits: Sequence[int], visitors: Sequence[int]) -> Chart:
    top = scale_top(max(visits, default=0))
    xs = _places(len(labels))
    base = HEIGHT - BOTTOM

    def y(value: float) -> float:
        return round(base - value / top * (base - TOP), 1)

    rows = [Tick(y(value), short(value)) for value in _ticks(top)]
    every = max(1, -(-len(labels) // LABELS))
    columns = [Tick(x, label) for number, (x, label) in enumerate(zip(xs, labels, strict=True)) if number % every == 0]
    points = list(zip(xs, labels, visits, visitors, strict=True))
    return Chart(_area(xs, [y(v) for v in visits], base), _line(xs, [y(v) for v in visitors]), rows, columns, points)


def sparkline(values: Sequence[int]) -> str:
    """The path of a small chart without axes."""
    top = max(values, default=0) or 1
    step = SPARK_WIDTH / max(1, len(values) - 1)
    return _line(
        [round(number * step, 1) for number in range(len(values))],
        [round(SPARK_HEIGHT - 2 - value / top * (SPARK_HEIGHT - 4), 1) for value in values],
    )


def scale_top(most: int) -> int:
    """The smallest round number that is at least `most`."""
    power = 1
    while True:
        for step in STEPS:
            if step * power >= max(most, 1):
                return step * power
        power *= 10


def short(value: float) -> str:
    """`1.2k`, `3M`: short enough for a label."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _ticks(top: int) -> list[float]:
    return [0, top / 2, top] if top > 1 else [0, 1]


def _places(count: int) -> list[float]:
    if count == 1:
        return [round((LEFT + WIDTH - RIGHT) / 2, 1)]
    step = (WIDTH - LEFT - RIGHT) / max(1, count - 1)
    return [round(LEFT + number * step, 1) for number in range(count)]


def _line(xs: Sequence[float], ys: Sequence[float]) -> str:
    return "".join(f"{'L' if number else 'M'}{x:g} {y:g}" for number, (x, y) in enumerate(zip(xs, ys, strict=True)))


def _area(xs: Sequence[float], ys: Sequence[float], base: float) -> str:
    if len(xs) == 1:  # a single value is a bar
        x, y = xs[0], ys[0]
        return f"M{x - 20:g} {base:g}V{y:g}H{x + 20:g}V{base:g}Z"
    return f"{_line(xs, ys)}V{base:g}H{xs[0]:g}Z" if xs else ""
