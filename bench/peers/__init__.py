"""Other programs that do the work of the reference flow, on one input in one run: `python -m bench.peers`.

    handmade             FastAPI, SQLite and a heap: what one writes for one flow in an afternoon
    durable_workflows    DBOS on SQLite: a durable workflow for each run
    stream_processor     PyFlink: a keyed function with state and timers

Each is written as its documentation recommends, commits durably before it counts an event (PyFlink: with its next
checkpoint), and remembers what the flow needs: contacts, segments, waiting runs, and what keeps an event from counting
twice. None of them imports anything of this project: they run under whichever interpreter has what they need.
"""
