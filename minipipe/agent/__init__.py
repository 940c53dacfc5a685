"""What a run has on each of its machines: the gateway on that of its supervisor, agents elsewhere."""
