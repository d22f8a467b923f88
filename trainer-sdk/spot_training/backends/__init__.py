"""Who makes snapshots durable: the sidecar beside the trainer, or this process itself."""
