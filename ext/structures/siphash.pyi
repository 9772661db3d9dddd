def siphash24(key: bytes, data: bytes | bytearray | memoryview) -> int:
    """SipHash-2-4 of `data` under a key of 16 bytes (ValueError otherwise): an integer of 0 to 2**64 - 1.

    The reference writes the same number as 8 little-endian bytes.
    """
