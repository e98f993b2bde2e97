"""Where the parts of a cluster listen on their hosts' addresses, and which unit shows the demonstrator's page."""

from __future__ import annotations

ETCD_PORT = 2379
PEER_PORT = 2380
REGISTRY_PORT = 5000
API_PORT = 49153
AGENT_PORT = 49154
"""The fleet agent's own server: journals, restarts, commands."""

PAGE_PORT = 8080
SHELL_PORT = 2019
"""A node agent's, as its unit file has it; what is said to an agent by its environment counts."""

NODE_AGENT_PORTS = (*range(PAGE_PORT, PAGE_PORT + 4), *range(SHELL_PORT, SHELL_PORT + 4))
"""Pages and shells of all kinds of agents in the units we ship: each kind has its own, so that all fit on one host."""

PAGE_UNIT = "felix@1.service"
"""The agent that carries the viewer, see the shipped mapping: the demonstrator's page is at its machine's address."""

PROVISIONING_UNIT = "provisioning.service"
"""The provisioning server; its page is at its machine's address."""
