"""Remote services between agents, as providers of Pelix's Remote Service Admin.

For whoever runs a framework: `distribution.Distribution` and `discovery.Discovery`, from start to stop.
For bundles that call: `proxies` (`asynchronous`, `one_way`, `within`) and `errors`.
For bundles that are called: `calls.current_call`.

Inside, from the wire up: `wire` (frames), `stream` (bytes, TLS), `greeting`; the caller's side
`link` (one connection), `client` (one provider); the provider's side `endpoints`, `session` (one connection), `server`.
`belief` judges which endpoints are there. The wire format is documented in ``docs/reference/remote-services.md``.
"""
