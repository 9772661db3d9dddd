"""Other programs that do the work of the reference flow, on one input in one run: `python -m bench.peers`.

    handmade             FastAPI, SQLite and a heap: what a programmer writes for one flow in an afternoon
    durable_workflows    DBOS on SQLite: a durable workflow for each run
    stream_processor     PyFlink: a keyed function with state and timers

Each follows its own documentation, commits durably before it counts an event (PyFlink: with its next checkpoint), and
stores what the flow needs: contacts, segments, waiting runs, and the ids that keep an event from counting twice. They
import no module of this project, so each runs under the interpreter that has its packages.
"""
