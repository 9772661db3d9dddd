"""Tables of the flow language: a row for each key reads, checks and explains it, and describes it as JSON Schema.

Begin with `flow.py`, which lists the kinds of node. `shapes.py`, `scalars.py` and `containers.py` hold the shapes that
rows are made of.
"""
