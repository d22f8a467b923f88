"""The local cluster itself. A package, so that its cluster ends with the last of these tests."""
