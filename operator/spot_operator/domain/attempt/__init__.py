"""The life of one attempt: how it starts, what its pods do, why it ended."""
