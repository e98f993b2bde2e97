"""A producer of samples: periodic or in bursts, slowed down by a full queue, with a log of what it offered."""
