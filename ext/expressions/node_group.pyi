class NodeGroup:
    """Nodes owned together: a plan's own, or a condition that plans share."""

def shared_groups() -> int:
    """Count the conditions that plans share at present."""
