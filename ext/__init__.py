"""Compiled parts of the engine, a Cython module each, in five rooms.

    structures ◀─ wire ◀─ maps ◀─ expressions ◀─ kernel       each imports those to its left

Everything here is pure: no clock, no I/O, no randomness. A module is three files: `.pyx` the code, `.pxd` the part that
other compiled modules use, `.pyi` the part that Python sees. Each has a slow twin in `tests/reference/` or an oracle.
Begin with `ext/structures/wheel.pyx` for the style, with `ext/kernel/core.pyx` for the content.
"""
