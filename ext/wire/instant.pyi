def parse(text: str) -> int:
    """RFC 3339 with an offset to ms UTC. Digits of a second beyond the third are cut. ValueError if it is not one."""

def format(ms: int) -> str:
    """Ms UTC to `2026-08-10T13:00:00Z`, with `.123` only where there are milliseconds."""
