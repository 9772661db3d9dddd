class Part:
    """Nodes owned together: a plan's own, or a condition that plans share."""

def shared_parts() -> int:
    """How many conditions the table of shared ones holds."""
