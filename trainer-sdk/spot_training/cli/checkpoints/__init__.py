"""`spot-training checkpoints …`: one file per command."""
