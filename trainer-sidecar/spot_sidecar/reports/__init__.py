"""What the sidecar tells the operator, and how."""
