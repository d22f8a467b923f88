"""Where lineages are: a local directory, a prefix of a bucket, a job in the cluster."""
