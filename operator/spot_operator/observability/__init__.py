"""What the operator shows of itself: metrics, health, logs. It decides nothing."""
