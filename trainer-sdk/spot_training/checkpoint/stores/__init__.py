"""Where a lineage can live; each module is one kind of store behind `checkpoint.store.Store`."""
