"""From the trainer's copy in shared memory to a committed checkpoint."""
