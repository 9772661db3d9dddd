def timestamp_text(seconds: int, nanos: int) -> str:
    """Seconds since 1970 (rounded down) and nanoseconds as `2026-08-10T13:00:00.5Z`."""

def duration_text(seconds: int, nanos: int) -> str:
    """Seconds (rounded down) and nanoseconds as `-1.5s`."""

def read_timestamp(text: bytes) -> tuple[int, int] | None:
    """Seconds and nanoseconds of an RFC 3339 text; None where it is none or out of range."""

def read_duration(text: bytes) -> tuple[int, int] | None:
    """Seconds and nanoseconds of a text such as `1h30m`; None where it is none or out of range."""
