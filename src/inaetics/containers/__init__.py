"""Container engines (podman, docker as best effort), images built offline, and the OCI registry."""
