PATTERNS_KEPT_MAX: int
"""Compiled patterns of `matches` that are kept."""
