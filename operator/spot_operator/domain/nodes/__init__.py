"""What is known of nodes: signals of their end, silence, fencing, which ones to avoid."""
