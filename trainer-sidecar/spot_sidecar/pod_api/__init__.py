"""The TCP port of the pod: drain hook, health, metrics."""
