"""Remote services between agents: `wire` is the format, `client` and `server` speak it, and two providers make Pelix's
Remote Service Admin use them: `distribution` (msgpack over TCP) and `discovery` (etcd leases)."""
