"""Liquid templates with bounds on output, loops and work, so that no template can hold the engine.

Begin with `template.py`; `sandbox.py` holds the bounds.
"""
