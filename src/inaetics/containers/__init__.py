"""Container engines (podman, docker as best effort), images built offline, and the OCI registry.

On a host: `engine` finds what works (`findings`), `store` gives each host its own, `pull` writes the program that gets
images and `pulling` is it, `prune` clears up; `process` runs all programs.

Building: `builder` puts the layers of `images` together: `base` (with `debian`, `trim`), `wheels`, `package`, and for
the rest `native`, `java` with `javac`, or the engine (`folder_build`, `context`); `tarball`, `normal` and `layout` see
to it that the same gives the same; `cache` keeps what was expensive.

The registry: `registry`, `registries`, `push` and `artifacts` speak to it, by `distribution`. In front of it stands
the gate (`gate`, and what begins with `gate_`), beside it the replicator (what begins with `replicate_`: decided in
`replicate_plan`, done by the others); `gate_main` is their daemon.
"""
