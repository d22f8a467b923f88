"""What the sidecar sees of the trainer: its processes, its progress, its memory's limit."""
