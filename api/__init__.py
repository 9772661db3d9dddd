"""Edge of the engine: every way into and out of the process, and the command line.

Imports `engine` and `ext`; neither imports anything here. HTTP statuses, paths, and sentences about commands stand
here, not in the engine (`refusals.py`).
Begin with `serve.py`, which composes the process, or with `cli/main.py`, which lists the commands. `README.md` beside
this file describes the edge for its users.
"""
