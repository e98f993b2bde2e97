"""A processor whose results are computed in C."""
