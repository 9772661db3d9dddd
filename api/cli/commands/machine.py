"""How figures and the machine they are of are written."""

from __future__ import annotations

import platform
from pathlib import Path


def number(value: float) -> str:
    """As many digits as mean something: `213,000`, `8.8`, `0.42`; whole small numbers as they are."""
    if value >= 10_000:
        return f"{round(value, -2):,.0f}"
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def machine() -> str:
    """`2 × AMD EPYC, Linux x86_64, Python 3.13.1`."""
    names = []
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = f"{len(names)} × {names[0]}, " if names else ""
    return f"{processor}{platform.system()} {platform.machine()}, Python {platform.python_version()}"
