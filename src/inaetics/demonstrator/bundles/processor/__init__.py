"""A processor: takes samples from the queue, computes, stores, acknowledges."""
