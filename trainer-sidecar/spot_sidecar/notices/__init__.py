"""Warnings that the node or the pod is about to go: their sources, and the one in force."""
