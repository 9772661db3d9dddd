"""The edges of a flow: they lead to nodes that exist, never round in a circle; unreached nodes are warned of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.flow.tables.findings import Edge, Reader
from engine.flow.tables.pointer import did_you_mean, escape, quoted


def check_edges(nodes: Mapping[str, Any], start: str | None, whole: bool, reader: Reader) -> None:
    """Note dangling edges and cycles; warn of nodes that nothing leads to.

    `start` is the launch node, None where there is not exactly one; `whole=False` says that some edges could
    not be read, so that nothing can be said about what is reached.
    """
    leading: dict[str, list[Edge]] = {}
    for edge in reader.edges:
        if edge.target in nodes:
            leading.setdefault(edge.node, []).append(edge)
        else:
            hint = did_you_mean(edge.target, nodes) or " Add it, or take the edge away."
            detail = f"There is no node {quoted(edge.target)}.{hint}"
            reader.problem(edge.pointer, "dangling_edge", detail, node=edge.node)
    _check_cycles(nodes, leading, reader)
    if start is not None and whole:
        _check_reached(nodes, start, leading, reader)


def _check_cycles(nodes: Mapping[str, Any], leading: dict[str, list[Edge]], reader: Reader) -> None:
    """Depth first, without recursion: an edge back to a node of the path closes a cycle."""
    done: set[str] = set()
    for root in nodes:
        if root in done:
            continue
        path = [root]
        onward = [iter(leading.get(root, ()))]
        on_path = {root}
        while path:
            edge = next(onward[-1], None)
            if edge is None:
                onward.pop()
                on_path.discard(path[-1])
                done.add(path.pop())
            elif edge.target in on_path:
                _note_cycle([*path[path.index(edge.target) :], edge.target], edge, reader)
            elif edge.target not in done:
                path.append(edge.target)
                on_path.add(edge.target)
                onward.append(iter(leading.get(edge.target, ())))


def _note_cycle(cycle: list[str], edge: Edge, reader: Reader) -> None:
    shown = [*cycle[:8], "…", *cycle[-2:]] if len(cycle) > 12 else cycle
    detail = f"These nodes lead round in a circle: {' → '.join(shown)}. Take one of the edges away."
    reader.problem(edge.pointer, "cycle", detail, node=edge.node)


def _check_reached(
    nodes: Mapping[str, Any], start: str, leading: dict[str, list[Edge]], reader: Reader
) -> None:
    reached = {start}
    ahead = [start]
    while ahead:
        for edge in leading.get(ahead.pop(), ()):
            if edge.target not in reached:
                reached.add(edge.target)
                ahead.append(edge.target)
    for name in nodes:
        if name not in reached:
            detail = "Nothing leads to this node. Lead an edge here, or take the node away."
            reader.warning(f"/nodes/{escape(name)}", "unreachable", detail, node=name)
