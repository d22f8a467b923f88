"""What others write into the status of a pod, and what becomes of the attempt by it."""
