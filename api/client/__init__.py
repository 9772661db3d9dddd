"""Clients of a running engine: the management API over HTTP, and the acknowledged stream.

Imports the configuration, the line format and errors; no part of the server. The command line and the benchmarks use
it. Begin with `http.py` or `stream.py`.
"""
