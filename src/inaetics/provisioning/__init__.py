"""What software each node agent gets: bundle archives, the mapping, the deployment service and its page.

`server` puts it together: `desk` knows what everybody shall have, `answers` says it, `agents_port` carries that to
agents and `servlet` to people (with `overview`); `stager` brings archives into the `cache` before anybody is told of
them; `audit` writes down what came of it. Node agents have `framework`, `pages`, `page_server`, `etcd_thread`,
`kept_keys` and `settings` in common with it.
"""
