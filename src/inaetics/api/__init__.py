"""The fleet over HTTP: the original's API v1, ours beside it, and the client for both."""
