"""What Prometheus reads at `/metrics`.

The engine counts by itself, deterministically, as part of its state; this collector only reads those counts
when it is asked, into a registry of its own (the library's global one would add up the engines of one
process, and the tests'). Only the first METRICS_FLOWS_MAX flows have series of their own: a scrape must stay
small.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.limits import METRICS_FLOWS_MAX

if TYPE_CHECKING:
    from engine.service import Service

PREFIX = "tidemill"
LEVELS = frozenset({"contacts", "waiting", "effects_pending", "flows", "flows_active"})
"""Of the kernel's counts, those that go up and down; the others only grow."""


class EngineCollector(Collector):
    """The engine's counts as metric families."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        kernel = self._service.kernel
        yield GaugeMetricFamily(
            f"{PREFIX}_seq", "Batches applied since the data directory was made.", kernel.seq
        )
        yield from families(kernel.counts(), "Kernel")
        yield from gauges("service", self._service.statistics())
        yield from _of_flows(kernel.flows())


def families(counts: Mapping[str, Any], whose: str) -> Iterable[Metric]:
    """Counters for what only grows, gauges for what does not."""
    for name, value in counts.items():
        about = f"{whose}: {name.replace('_', ' ')}."
        family = GaugeMetricFamily if name in LEVELS else CounterMetricFamily
        yield family(f"{PREFIX}_{name}", about, value)


def gauges(path: str, statistics: Mapping[str, Any]) -> Iterable[Metric]:
    """Every number in nested statistics, named by its path; whatever is no number is left out."""
    for name, value in statistics.items():
        if isinstance(value, Mapping):
            yield from gauges(f"{path}_{name}", value)
        elif isinstance(value, (bool, int, float)):
            about = f"{path.replace('_', ' ').capitalize()}: {name.replace('_', ' ')}."
            yield GaugeMetricFamily(f"{PREFIX}_{path}_{name}", about, float(value))


def _of_flows(flows: list[dict[str, Any]]) -> Iterable[Metric]:
    entered = CounterMetricFamily(f"{PREFIX}_flow_entered", "Runs that began.", labels=["flow"])
    waiting = GaugeMetricFamily(f"{PREFIX}_flow_waiting", "Runs that wait now.", labels=["flow"])
    for flow in islice(flows, METRICS_FLOWS_MAX):
        entered.add_metric([flow["id"]], flow["entered"])
        waiting.add_metric([flow["id"]], flow["waiting"])
    yield entered
    yield waiting
    left_out = max(0, len(flows) - METRICS_FLOWS_MAX)
    yield GaugeMetricFamily(
        f"{PREFIX}_flows_without_series", "Flows beyond the bound of this page.", left_out
    )


def registry_of(service: Service) -> CollectorRegistry:
    """A registry that reads this engine and nothing else."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(EngineCollector(service))
    return registry
