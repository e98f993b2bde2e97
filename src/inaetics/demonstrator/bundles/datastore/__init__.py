"""The datastore: results by the identity of their sample, on the host's disk."""
