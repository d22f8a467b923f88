"""The schema of a pod template as Kubernetes publishes it, and what becomes of it in our CRD."""
