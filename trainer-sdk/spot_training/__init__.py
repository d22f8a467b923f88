"""What a training script imports to survive the loss of its node."""
