"""The reference flow on a stream processor: PyFlink, a function keyed by contact with state and timers.

    python stream_processor.py FOLDER LINES

The program reads the lines of a file (contacts, then events) in a cluster of its own in one process, with a checkpoint
every ten seconds, and prints the run time of the job in seconds. It stores no message ids: the position in the source,
part of every checkpoint, keeps an event from counting twice. Python's cache of state has room for all contacts.

A stream processor takes some seconds to start. So it is run twice, with the contacts alone and with the events as
well; the figure is the difference.
"""
# mypy: disable-error-code="misc,no-any-return"

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyflink.common import Configuration, Encoder, Types, WatermarkStrategy
from pyflink.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.connectors.file_system import FileSink, FileSource, StreamFormat
from pyflink.datastream.state import ValueStateDescriptor

WAIT_MS = 3 * 24 * 3600 * 1000
CHECKPOINT_MS = 10_000
STATES_CACHED = 1_000_000


class Journey(KeyedProcessFunction):
    """One contact's part of the flow; yields what its steps do."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.traits = runtime_context.get_state(ValueStateDescriptor("traits", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: tuple[str, str], ctx: KeyedProcessFunction.Context) -> Iterator[str]:
        message = json.loads(value[1])
        if message["type"] == "identify":
            self.traits.update(message["traits"])
            return
        if self.enters(message):
            yield f"{value[0]} reached"
            timers = ctx.timer_service()
            timers.register_processing_time_timer(timers.current_processing_time() + WAIT_MS)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[str]:
        if self.traits.value()["orders_count"] > 3:
            yield f"{ctx.get_current_key()} points 1"

    def enters(self, message: dict[str, Any]) -> bool:
        """Whether the `where` of the flow holds."""
        if message["event"] != "Order Completed" or message["properties"]["total"] < 50:
            return False
        traits = self.traits.value() or {}
        return bool(traits.get("city") in ("London", "Paris") and traits.get("orders_count", 0) > 2)


def keyed(line: str) -> tuple[str, str]:
    return json.loads(line)["userId"], line


def main() -> None:
    folder, lines = Path(sys.argv[1]), sys.argv[2]
    settings = Configuration()
    settings.set_string("python.executable", sys.executable)
    settings.set_string("python.client.executable", sys.executable)
    settings.set_string("python.state.cache-size", str(STATES_CACHED))
    settings.set_string("restart-strategy.type", "none")
    settings.set_string("execution.checkpointing.dir", f"file://{folder}/checkpoints")
    env = StreamExecutionEnvironment.get_execution_environment(settings)
    env.set_parallelism(1)
    env.enable_checkpointing(CHECKPOINT_MS)
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), f"file://{lines}").build()
    pairs = Types.TUPLE([Types.STRING(), Types.STRING()])
    sink = FileSink.for_row_format(f"file://{folder}/out", Encoder.simple_string_encoder()).build()
    (
        env.from_source(source, WatermarkStrategy.no_watermarks(), "lines")
        .map(keyed, output_type=pairs)
        .key_by(lambda pair: pair[0], key_type=Types.STRING())
        .process(Journey(), output_type=Types.STRING())
        .sink_to(sink)
    )
    result = env.execute("journeys")
    runs = sum(part.read_bytes().count(b" reached\n") for part in (folder / "out").rglob("*part*"))
    print(json.dumps({"seconds": result.get_net_runtime() / 1_000, "runs": runs}), flush=True)


if __name__ == "__main__":
    main()
