"""The curves of a soak as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from api.measure.record import Report


class Line(msgspec.Struct, frozen=True):
    """A field of the samples, as it is called in the picture, times `factor`."""

    field: str
    name: str
    factor: float = 1.0


PANELS: dict[str, tuple[Line, ...]] = {
    "events a second": (Line("sent", "sent"), Line("acknowledged", "acknowledged")),
    "acknowledgements, ms": (
        Line("p50_ms", "median"),
        Line("p99_ms", "99 of 100"),
        Line("worst_ms", "worst"),
    ),
    "99 of 100, ms": (Line("late_p99_ms", "lateness of a step"), Line("request_p99_ms", "single request")),
    "memory, MB": (
        Line("resident_bytes", "resident", 1e-6),
        Line("own_bytes", "without pages of files", 1e-6),
    ),
    "data directory, MB": (Line("disk_bytes", "on the disk", 1e-6),),
    "descriptors and files": (Line("descriptors", "descriptors"), Line("files", "files")),
    "waiting runs": (Line("waiting", "waiting"),),
    "cores": (
        Line("engine_busy", "engine"),
        Line("sender_busy", "sender"),
        Line("others_busy", "everything else on the machine"),
    ),
}
LOGARITHMIC = {"acknowledgements, ms"}
COLUMNS = 2
COLOURS = ("#1f6f8b", "#e08e45", "#b8c4c9")


def draw(report: Report, path: Path, title: str) -> None:
    """A PNG: a panel for each kind of quantity, against minutes; grey is warming up."""
    from matplotlib import pyplot

    pyplot.switch_backend("Agg")
    rows = -(-len(PANELS) // COLUMNS)
    figure, axes = pyplot.subplots(
        rows, COLUMNS, figsize=(14, 2.6 * rows), layout="constrained", sharex=True, squeeze=False
    )
    for panel, (name, lines) in zip(axes.flat, PANELS.items(), strict=False):
        _panel(panel, report, name, lines)
    for panel in axes[-1]:
        panel.set_xlabel("minutes")
    figure.suptitle(f"A soak at {report.rate:,.0f} events a second: {title}")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _panel(panel: Any, report: Report, name: str, lines: tuple[Line, ...]) -> None:
    panel.axvspan(0, report.warm_s / 60, color="#f2f2f2")
    for line, colour in zip(lines, COLOURS, strict=False):
        points = [(one.at_s / 60, getattr(one, line.field)) for one in report.samples]
        known = [(minutes, value * line.factor) for minutes, value in points if value is not None]
        panel.plot(
            [at for at, _ in known], [value for _, value in known], color=colour, label=line.name, lw=1.2
        )
    if name in LOGARITHMIC:
        panel.set_yscale("log")
    else:
        panel.set_ylim(bottom=0)
    panel.set_title(name, loc="left", fontsize=10)
    panel.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        panel.legend(fontsize=8, frameon=False)
