"""A producer of samples: periodic, slowed down by a full queue."""
