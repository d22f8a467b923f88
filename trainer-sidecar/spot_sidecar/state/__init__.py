"""What the pod knows of its attempt, and what of it survives a restart of the container."""
