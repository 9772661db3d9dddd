"""Demo shop of `tidemill demo`: an engine, sample flows and simulated customers in one process.

Imports `api.serve` for its process, the engine for its parts, and `api.terminal` to draw.
Begin with `demo.py`; `shop.py` simulates the customers, `story.py` follows one of them.
"""
