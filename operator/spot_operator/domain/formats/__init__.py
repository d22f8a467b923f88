"""Texts, times and JSON as the API carries them."""
