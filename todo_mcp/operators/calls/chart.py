"""The bar chart of calls by hour or day, which the template draws as SVG. Each bar is a link that opens it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from todo_mcp.operators.calls.address import Address
from todo_mcp.statistics.spans import HOUR
from todo_mcp.statistics.tallies import Tally

STEP, TOP = 10, 100  # in SVG units: the width of a bar with its gap, the height of the highest bar
KINDS = ("success", "refused", "failed")  # from the bottom to the top of a bar


@dataclass(frozen=True)
class Part:
    """The part of a bar for one kind of outcome, in SVG units."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True)
class Bar:
    """One hour or day. ``tick`` is the text below it; ``is_open`` says whether the page shows only its calls."""

    name: str
    tick: str
    x: int
    url: str
    is_open: bool
    tally: Tally
    parts: list[Part]


@dataclass(frozen=True)
class Chart:
    """The bars of a time, from the first to the last."""

    bars: list[Bar]
    highest: int
    unit: str
    step: int = STEP
    height: int = TOP

    @property
    def width(self) -> int:
        return STEP * len(self.bars)


def chart_of(address: Address, counted: Mapping[datetime, Tally]) -> Chart:
    """The chart for this address. Hours without calls have a bar of height 0."""
    is_hourly = address.chart.step == HOUR
    highest = max((tally.calls for tally in counted.values()), default=0)
    bars = []
    for number, start in enumerate(address.chart.bars):
        tally = counted.get(start, Tally(""))
        at = f"{start:%Y-%m-%dT%H}" if is_hourly else f"{start:%Y-%m-%d}"
        is_open = address.given.get("at") == at
        bars.append(
            Bar(
                name=f"{start:%Y-%m-%d %H}:00" if is_hourly else f"{start:%a %Y-%m-%d}",
                tick=f"{start:%H}" if is_hourly else f"{start.day}",
                x=number * STEP,
                url=address.link(at=at[:10] if is_open and is_hourly else None if is_open else at),
                is_open=is_open,
                tally=tally,
                parts=_parts(tally, highest),
            )
        )
    return Chart(bars, highest, "hour" if is_hourly else "day")


def _parts(tally: Tally, highest: int) -> list[Part]:
    parts, top = [], float(TOP)
    for kind in KINDS:
        height = TOP * getattr(tally, kind) / (highest or 1)
        top -= height
        parts.append(Part(kind, round(top, 2), round(height, 2)))
    return parts
