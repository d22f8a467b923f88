"""What leaves the store: old checkpoints and uploads that nobody finished."""
