"""Manifests that the API server takes, and what is changed in them that it refuses."""
