"""Traits and properties in memory: MessagePack maps with numbers for keys, in half of the bytes.

Imports `ext.wire` and `ext.structures`, never `ext.expressions`, which reads these maps.
Begin with `packed_map.pyx`, which draws the layout byte by byte. `msgpack.pyx` reads and writes MessagePack,
`json_to_map.pyx` makes maps of JSON, `key_numbers.pyx` numbers the keys.
"""
