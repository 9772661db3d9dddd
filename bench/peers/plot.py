"""The table of the peers as a picture: `python plot.py FILE.png`, the table as JSON on standard input."""

from __future__ import annotations

import json
import sys
from typing import Any

from matplotlib import pyplot

PANELS = {
    "events": "events a second, durable",
    "runs": "runs started a second",
    "requests": "single requests a second",
}
OURS, OTHERS, LEAST = "#1f6f8b", "#b8c4c9", "#e0c9a6"


def main() -> None:
    shown: dict[str, Any] = json.load(sys.stdin)
    lines = [line for line in shown["lines"] if line["rates"]]
    pyplot.switch_backend("Agg")
    colours = {"tidemill": OURS, "least": LEAST}
    figure, panels = pyplot.subplots(1, len(PANELS), figsize=(15, 4), layout="constrained")
    for panel, (key, title) in zip(panels, PANELS.items(), strict=True):
        bars = [line for line in reversed(lines) if line["rates"][key]]
        values = [line["rates"][key] for line in bars]
        drawn = panel.barh(
            [line["name"] for line in bars],
            values,
            color=[colours.get(line["program"], OTHERS) for line in bars],
        )
        panel.bar_label(drawn, [f"{value:,.0f}" for value in values], padding=4)
        panel.set_xscale("log")
        panel.set_xlim(min(values) / 5, max(values) * 12)
        panel.set_title(title)
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"The reference flow, on {shown['machine']}; logarithmic")
    figure.savefig(sys.argv[1], dpi=120)


main()
