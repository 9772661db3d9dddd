"""Metrics for Prometheus at `/metrics`.

The engine counts by itself: the kernel as part of its state, the parts of the service since they started. This
collector reads these counts at each scrape, into a registry of its own: the library's global registry would add up
the engines of one process. Only the first METRICS_FLOWS_MAX flows have series of their own, so that a scrape stays
small.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.limits import METRICS_FLOWS_MAX

if TYPE_CHECKING:
    from engine.service import Service

PREFIX = "tidemill"
LEVELS = frozenset({"contacts", "waiting", "effects_pending", "dead_letters", "flows", "flows_active"})
"""Counts of the kernel that go up and down; the others only grow."""
LABELLED = {"receipts": "status", "problems": "what"}
"""Stem of a count of the kernel, as in `receipts_delivered` -> the label that distinguishes the kinds in one family."""
TOTALS = frozenset(
    {
        *("ingest_batches", "ingest_pulses", "ingest_inputs", "ingest_apply_s", "journal_appended_bytes"),
        *("journal_stored_bytes", "checkpoint_made", "checkpoint_failed", "delivery_attempts_failed"),
        "delivery_gave_up",
    }
)
"""Statistics of the service that only grow."""


class EngineCollector(Collector):
    """Collector of the engine's counts as metric families."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        kernel = self._service.kernel
        statistics = self._service.statistics()
        receipts = statistics["delivery"].pop("receipts")
        yield _gauge("seq", kernel.seq)
        yield from of_kernel(kernel.counts())
        yield from of_service("", statistics)
        yield _of_channels(receipts)
        yield from _of_flows(kernel.flows())


def of_kernel(counts: Mapping[str, int]) -> Iterable[Metric]:
    """Yield a counter or a gauge for each count of the kernel, and one family with a label for each of LABELLED."""
    families = {
        stem: CounterMetricFamily(f"{PREFIX}_{stem}", f"{stem.capitalize()} so far.", labels=[label])
        for stem, label in LABELLED.items()
    }
    for name, value in counts.items():
        stem, _, kind = name.partition("_")
        if stem in families:
            families[stem].add_metric([kind], value)
        elif name in LEVELS:
            yield _gauge(name, value)
        else:
            yield CounterMetricFamily(f"{PREFIX}_{name}", _sentence(name), value)
    yield from families.values()


def of_service(path: str, statistics: Mapping[str, Any]) -> Iterable[Metric]:
    """Yield a family for each number in nested statistics, named by its path; a dict with `buckets` is a histogram."""
    for key, value in statistics.items():
        name = f"{path}_{key}" if path else key
        if isinstance(value, Mapping):
            yield from [_histogram(name, value)] if "buckets" in value else of_service(name, value)
        elif name in TOTALS:
            yield CounterMetricFamily(_named(name), _sentence(name), float(value))
        elif isinstance(value, bool | int | float):
            yield _gauge(name, float(value))


def _histogram(name: str, times: Mapping[str, Any]) -> Metric:
    buckets = [*times["buckets"].items(), ("+Inf", times["count"])]
    return HistogramMetricFamily(
        _named(f"{name}_s"), _sentence(name), buckets=buckets, sum_value=times["sum_s"]
    )


def _gauge(name: str, value: float) -> Metric:
    return GaugeMetricFamily(_named(name), _sentence(name), value)


def _named(name: str) -> str:
    """Return the name for Prometheus, whose convention spells units out."""
    return f"{PREFIX}_{name[:-2]}_seconds" if name.endswith("_s") else f"{PREFIX}_{name}"


def _sentence(name: str) -> str:
    return f"{name.removesuffix('_s').replace('_', ' ').capitalize()}."


def _of_channels(receipts: Mapping[str, Mapping[str, int]]) -> Metric:
    name = f"{PREFIX}_delivered_here"
    family = CounterMetricFamily(
        name, "Receipts of this engine's own channels.", labels=["channel", "status"]
    )
    for channel, by_status in receipts.items():
        for status, count in by_status.items():
            family.add_metric([channel, status], count)
    return family


def _of_flows(flows: list[dict[str, Any]]) -> Iterable[Metric]:
    entered = CounterMetricFamily(f"{PREFIX}_flow_entered", "Runs that began.", labels=["flow"])
    waiting = GaugeMetricFamily(f"{PREFIX}_flow_waiting", "Runs that wait now.", labels=["flow"])
    for flow in islice(flows, METRICS_FLOWS_MAX):
        entered.add_metric([flow["id"]], flow["entered"])
        waiting.add_metric([flow["id"]], flow["waiting"])
    yield entered
    yield waiting
    yield _gauge("flows_without_series", max(0, len(flows) - METRICS_FLOWS_MAX))


def registry_of(service: Service) -> CollectorRegistry:
    """Return a registry that reads this engine and nothing else."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(EngineCollector(service))
    return registry
