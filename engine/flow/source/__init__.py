"""Text of a flow to values, and values back to their lines, for YAML and JSON.

Begin with `source.py`.
"""
