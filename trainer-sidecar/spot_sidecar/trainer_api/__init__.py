"""What the trainer's processes can ask for on the Unix socket."""
