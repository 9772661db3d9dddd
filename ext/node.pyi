class Key:
    """A key of a root map, and where it was last found; one for all nodes that read it."""

class Part:
    """Nodes owned together: a plan's own, or a condition that plans share."""

def shared_parts() -> int:
    """How many conditions the table of shared ones holds."""
