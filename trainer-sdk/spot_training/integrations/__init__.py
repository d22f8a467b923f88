"""Frameworks that have a training loop of their own.

Each takes its place in that loop by a callback; what is saved, and when, is decided by the same
`Run` as in a script's own loop. Nothing here is imported by the rest of the SDK but `opening`.
"""
