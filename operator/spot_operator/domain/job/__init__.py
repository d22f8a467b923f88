"""What a job that is over leaves to its user."""
