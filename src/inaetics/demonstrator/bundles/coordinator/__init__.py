"""The cluster around the demonstrator, and how many agents it has."""
