"""The sample queue: bounded, and what was lent and not acknowledged in time is delivered again."""
