"""The environment templates run in: python-liquid without files, without a clock, and with an end.

Three things are bounded for each rendering: what is written, what is kept in variables, and the work done. Work is
counted in bytes of template gone through in loops and bytes of text gone through in filters, so that neither a
loop over ten thousand items around a large body nor a chain of filters over a large text can hold the engine.
"""

from __future__ import annotations

from typing import Any, Final

from liquid import Environment, Mode
from liquid.context import RenderContext
from liquid.exceptions import LoopIterationLimitError, ResourceLimitError
from liquid.template import BoundTemplate
from liquid.utils import ReadOnlyChainMap

from engine.flow.liquid import filters
from engine.limits import (
    TEMPLATE_LOOPS_MAX,
    TEMPLATE_OUTPUT_BYTES_MAX,
    TEMPLATE_VARIABLES_BYTES_MAX,
    TEMPLATE_WORK_BYTES_MAX,
)

_FILES: Final = ("include", "render")


class Rendering(RenderContext):
    """One rendering: its variables, and what it has used up."""

    __slots__ = ("loops_done", "work_done")

    def __init__(self, template: Any, **options: Any) -> None:
        super().__init__(template, **options)
        self.scope = ReadOnlyChainMap(
            self.locals, self.globals, self.counters
        )  # without `now` of the machine
        self.loops_done = 0
        self.work_done = 0

    def charge(self, work_bytes: int) -> None:
        """Count work; ResourceLimitError beyond the bound."""
        self.work_done += work_bytes
        if self.work_done > TEMPLATE_WORK_BYTES_MAX:
            raise ResourceLimitError("the template takes too much work", token=None)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Count the turns of a loop before it begins; those of all loops together are bounded."""
        self.loops_done += length
        if self.loops_done > TEMPLATE_LOOPS_MAX:
            raise LoopIterationLimitError(
                f"the loops of a template take at most {TEMPLATE_LOOPS_MAX} turns", token=None
            )
        assert isinstance(self.template, Bound)
        self.charge(length * self.template.length)


class Bound(BoundTemplate):
    """A parsed template; `length` is that of its text."""

    context_class = Rendering
    length = 0


class Sandbox(Environment):
    """Strict: what is not Liquid is an error. A name that is not there is an empty text, as in Liquid."""

    template_class = Bound
    local_namespace_limit = TEMPLATE_VARIABLES_BYTES_MAX
    output_stream_limit = TEMPLATE_OUTPUT_BYTES_MAX

    def __init__(self) -> None:
        super().__init__(tolerance=Mode.STRICT, strict_filters=True)

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """The standard ones, less what reads files; every filter under guard."""
        super().setup_tags_and_filters(extra=extra)
        for name in _FILES:
            del self.tags[name]
        self.filters.update(
            date=filters.date,
            json=filters.json,
            join=filters.measured_join(self.filters["join"]),
            replace=filters.replace,
            strip_html=filters.strip_html,
        )
        for name, function in self.filters.items():
            self.filters[name] = filters.guarded(function)
