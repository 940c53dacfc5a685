"""Where worker processes are started, killed and watched."""
