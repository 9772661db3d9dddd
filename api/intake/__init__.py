"""Intake of events: Segment's HTTP paths, NDJSON over HTTP, and the acknowledged stream.

Imports the line format (`engine.wire`), keys, listeners and the configuration. It reaches the engine by one narrow
port, `enqueue.py`, and knows neither kernel nor flows.
Begin with `http_listener.py` or `stream_listener.py`: sockets. `http1.py`, `lines.py` and `segment_api.py` do the same
work without sockets.
"""
