"""The checkpoint format: layout, documents, stores, selection and commit. Needs numpy only."""
