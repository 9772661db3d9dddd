"""Data structures that know nothing of contacts: timing wheel, hash tables, fingerprints, SipHash, checksum, memory.

Imports bounds and sizes only (`engine.limits`, `engine.tuning`), so any floor may use this room.
Begin with `wheel.pyx`, which explains itself with a worked example, or with `hash_table.pxd`, on which the tables of
contacts and runs are built.
"""
