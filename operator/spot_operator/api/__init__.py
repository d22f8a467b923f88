"""The contract with users: names, types, rules and the CRDs made of them.

Imports nothing of ours.
"""
