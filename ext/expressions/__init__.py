"""Conditions and other expressions, planned once and evaluated for each event.

`engine.flow.cel` parses CEL text with Google's compiler and builds terms; this room makes a plan of them. Plans share
equal conditions. Tests compare every result with that of Google's evaluator.
Imports `ext.maps`, `ext.wire` and `ext.structures`; of contacts it sees only a view (`view.pyx`).
Begin with `plan.pyx`, then `node_group.pyx` (building) and `evaluate.pyx` (running).
"""
