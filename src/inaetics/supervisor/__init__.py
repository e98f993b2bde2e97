"""What runs units on one host: one protocol, and the embedded implementation (daemon, control socket, client)."""
