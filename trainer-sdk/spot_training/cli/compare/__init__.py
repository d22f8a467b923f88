"""`spot-training verify`: whether two lineages ended in the same state, bit for bit."""
