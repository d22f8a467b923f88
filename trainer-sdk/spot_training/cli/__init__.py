"""The `spot-training` command: look after checkpoints, and prove that a script can be interrupted.

Small files, one per command. Pure parts (states, refusals, schedules, comparisons) are apart from
the files that touch a store, a process or the terminal. Nothing of the SDK imports this package.
"""
