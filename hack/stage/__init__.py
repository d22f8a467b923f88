"""What the demo and the end-to-end tests share: installing the product, watching a job train."""
