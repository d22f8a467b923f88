"""What the operator remembers of a job, and its form as `status`."""
