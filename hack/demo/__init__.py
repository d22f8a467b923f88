"""`make demo`: a training job loses its nodes on a real local cluster, and finishes exactly."""
