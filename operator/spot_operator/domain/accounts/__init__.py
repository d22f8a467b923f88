"""What is counted: budgets, back-off, wall time, how often a job is interrupted."""
