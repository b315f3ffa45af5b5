"""From samples to a table, and into docs/benchmarks.md."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.arena import Sample
from bench.contestants import HELLO
from bench.load import CONNECTIONS
from bench.machine import ROOT, BenchError

DOCUMENT = ROOT / "docs" / "benchmarks.md"
START, END = "<!-- bench:start -->", "<!-- bench:end -->"
HEADINGS = (
    "server",
    "requests/s",
    "min..max",
    "CPU µs/request",
    "min..max",
    "share of hello",
    "times best Flask",
    "Redis commands/request",
    "Redis CPU µs/request",
    "counted - answered",
)

Samples = Mapping[str, Sequence[Sample]]


@dataclass(frozen=True)
class Spread:
    """A figure over the rounds: its median, its least and its greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, samples: Sequence[Sample], figure: Callable[[Sample], float]) -> "Spread":
        """Summarise one figure of the samples."""
        values = [figure(sample) for sample in samples]
        return cls(statistics.median(values), min(values), max(values))

    def range(self, form: str) -> str:
        """Least and greatest, in a number format."""
        return f"{self.least:{form}}..{self.greatest:{form}}"


def block(circumstances: Sequence[str], samples: Samples) -> str:
    """When, where and with what, a paragraph each; the table; what went wrong."""
    wrong = "\n".join(f"- {fault}" for fault in faults(samples))
    parts = [*(f"{each}." for each in circumstances), table(samples), wrong]
    return "\n\n".join(part for part in parts if part)


def table(samples: Samples) -> str:
    """The Markdown table, a row for each contestant that took part, padded to be read in a terminal."""
    cpu = {name: Spread.of(rounds, lambda sample: sample.cpu).median for name, rounds in samples.items()}
    hello = cpu.get(HELLO.name)
    flask = min((value for name, value in cpu.items() if name.startswith("flask")), default=None)
    rows = [HEADINGS, *(_row(name, rounds, hello, flask) for name, rounds in samples.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [_line(row, widths) for row in rows]
    rule = "|" + "|".join("-" * (width + 1) + (":" if column else "-") for column, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def faults(samples: Samples) -> list[str]:
    """What went wrong: answers that were not 2xx, connections that broke, visits lost or counted twice."""
    found = []
    for name, rounds in samples.items():
        for number, sample in enumerate(rounds, 1):
            if sample.refused or sample.broken:
                failed = f"{sample.refused} answers not 2xx, {sample.broken} broken connections"
                found.append(f"{name}, round {number}: {failed}")
            if sample.surplus is not None and not 0 <= sample.surplus <= CONNECTIONS:
                found.append(f"{name}, round {number}: counted {sample.surplus:+} against what was answered")
    return found


def write(text: str) -> None:
    """Put a text between the markers of docs/benchmarks.md."""
    name = DOCUMENT.relative_to(ROOT)
    if not DOCUMENT.exists():
        raise BenchError(f"{name} is missing: nothing written")
    before, start, rest = DOCUMENT.read_text().partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise BenchError(f"{name} lacks {START} or {END}: nothing written")
    _replace(DOCUMENT, f"{before}{START}\n{text}\n{END}{after}")
    print(f"Written to {name}.")


def _replace(path: Path, text: str) -> None:
    """Write a file in one step, so that it is never seen half written."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def _row(name: str, rounds: Sequence[Sample], hello: float | None, flask: float | None) -> tuple[str, ...]:
    rate = Spread.of(rounds, lambda sample: sample.rate)
    cpu = Spread.of(rounds, lambda sample: sample.cpu)
    surpluses = [sample.surplus for sample in rounds if sample.surplus is not None]
    return (
        name,
        f"{rate.median:,.0f}",
        rate.range(",.0f"),
        f"{cpu.median:.1f}",
        cpu.range(".1f"),
        f"{hello / cpu.median:.2f}" if hello else "-",
        f"{flask / cpu.median:.1f}" if flask else "-",
        f"{Spread.of(rounds, lambda sample: sample.redis_commands).median:.3f}",
        f"{Spread.of(rounds, lambda sample: sample.redis_cpu).median:.1f}",
        f"{min(surpluses)}..{max(surpluses)}" if surpluses else "-",
    )


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "| " + " | ".join(cells) + " |"
