"""Charts as SVG: drawn on the server, coloured by the style sheet. Pure.

The drawing is stretched over the place that the page has; labels stand beside it, in the page's own size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 1000, 200
SPARK_WIDTH, SPARK_HEIGHT = 160, 32
STEPS = (1, 2, 5)
MAX_STEPS = 4
"""Of the scale beside a chart."""
LABELS = 6
"""Maximum number of labels under a chart."""
MAX_BARS = 62
"""More bars than that have no gaps between them."""
BAR = 0.74
"""The part of a point's place that its bar takes, of few points less."""


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    """Per cent of the width or the height."""
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart for a template: bars as SVG paths, lines and labels with their places."""

    visits: str
    visitors: str
    rows: Sequence[Tick]
    columns: Sequence[Tick]
    points: Sequence[tuple[str, int, int]]
    """(at, visits, visitors) of each point, for its tooltip."""
    width: int = WIDTH
    height: int = HEIGHT


def chart(
    times: Sequence[str], visits: Sequence[int], visitors: Sequence[int], label: Callable[[str], str] = str
) -> Chart:
    step = scale_step(max((*visits, *visitors), default=0))
    top = step * max(1, -(-max((*visits, *visitors), default=0) // step))
    rows = [Tick(round(100 - 100 * value / top, 2), short(value)) for value in range(0, top + 1, step)]
    every, place = max(1, -(-len(times) // LABELS)), 100 / max(1, len(times))
    columns = [Tick(round((at + 0.5) * place, 2), label(times[at])) for at in range(0, len(times), every)]
    return Chart(
        bars(visits, top, WIDTH, HEIGHT),
        bars(visitors, top, WIDTH, HEIGHT),
        rows,
        columns,
        list(zip(times, visits, visitors, strict=True)),
    )


def sparkline(values: Sequence[int]) -> str:
    """The path of a small chart without axes."""
    return bars(values, max(values, default=0) or 1, SPARK_WIDTH, SPARK_HEIGHT)


def bars(values: Sequence[int], top: int, width: int, height: int) -> str:
    """The path of bars that stand on the bottom of the drawing."""
    place = width / max(1, len(values))
    heights = [f"{height - height * value / top:.4g}" for value in values]
    if len(values) > MAX_BARS:  # one outline, which takes half of the bytes
        steps = "".join(f"V{y}H{(at + 1) * place:.5g}" for at, y in enumerate(heights))
        return f"M0 {height}{steps}V{height}Z"
    bar = min(place * BAR, width / 12)
    return "".join(
        f"M{(at + 0.5) * place - bar / 2:.5g} {height}V{y}h{bar:.4g}V{height}Z"
        for at, (y, value) in enumerate(zip(heights, values, strict=True))
        if value
    )


def scale_step(greatest: int) -> int:
    """The smallest round number of which MAX_STEPS make at least `greatest`."""
    power = 1
    while True:
        for step in STEPS:
            if step * power * MAX_STEPS >= greatest:
                return step * power
        power *= 10


def short(value: float) -> str:
    """`1.2k`, `3M`: short enough for a label."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
