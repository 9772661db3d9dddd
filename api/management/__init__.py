"""Management API under `/v1`: flows, contacts, segments, the outbox, the store, health and metrics.

Imports the engine, and `api.intake` for events on its port. Handlers render typed values of the engine; `access.py`
decides about each request before its handler runs.
Begin with `app.py`, then the blueprint of a noun (`flows.py`, `contacts.py`, …). `server.py` holds the sockets.
"""
