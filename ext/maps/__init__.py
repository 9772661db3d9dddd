"""Traits and properties in memory: MessagePack maps with numbers for keys, in half of the bytes.

Imports `ext.wire` and `ext.structures`. `tests/floors.py` says which imports of `ext.expressions` remain, and why.
Begin with `packed_map.pyx`, which draws the layout byte by byte. `json_to_map.pyx` makes such maps, `key_numbers.pyx`
numbers the keys.
"""
