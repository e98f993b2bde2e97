"""The fleet over HTTP: the original's API v1, ours beside it, and the client for both.

What travels is in modules that end in `_wire`; the resources that answer with it end in `_v1` (`app` joins them,
`operations` describes them, `openapi` publishes that); what asks for it is `client`, and ends in `_client`.

The server: `process` puts it together, from `settings`; `listener` and `bounds` let clients in, `peers` says who they
are and what they may; `services` is what handlers work with, `views` and `facts` what they show; `provisioning` makes
versions of the mapping. `agents` asks the machines; `unit_pages` and `exchange` pass pages of units on.

The way there: `endpoint` and `connection`; from elsewhere `tunnel`, by `ssh`, with `far_end` at its other end; for a
browser `gateway`.
"""
