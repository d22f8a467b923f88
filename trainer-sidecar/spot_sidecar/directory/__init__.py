"""Checkpoints of scripts that know nothing of us: complete sets of files in a shared volume."""
