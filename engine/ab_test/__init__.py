"""Statistics of A/B tests (rule 22): metrics, lifts and intervals that hold however often the report is read.

Imports only what every floor shares, and is pure. The kernel counts (`ext/kernel/trial_totals.pyx`).
Begin with `report.py`; `distributions.py` holds the mathematics.
"""
