"""Stores as releases wrote them, and how they are made: `python -m tests.golden.make`."""
