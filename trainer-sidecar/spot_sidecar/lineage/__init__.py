"""The job's objects in the store: access, connection, and the claim of this attempt."""
