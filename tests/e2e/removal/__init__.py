"""Releases that come and go. A package, so that its cluster ends with the last of these tests."""
