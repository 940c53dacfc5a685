"""What a run has on its machines: the gateway beside its supervisor, an agent on each other one."""
