"""The INAETICS cluster: a fleet, its hosts, its software and a demonstrator for dynamic, distributed services."""
