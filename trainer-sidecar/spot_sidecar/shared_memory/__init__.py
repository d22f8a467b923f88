"""The memory that the trainer and the sidecar share."""
