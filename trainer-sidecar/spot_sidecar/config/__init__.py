"""What the operator tells the sidecar when it creates the pod, and where files lie."""
