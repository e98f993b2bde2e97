"""etcd v3 behind one small protocol. Nothing else in the project speaks etcd, and no command's fast path imports it.

`protocol` is the contract; `fake` keeps it in memory, `client` over etcd (loaded by `etcd`), with `watch`, `lease` and
`election`; `keys` has the rules that both share. Below are calls (`wire`, `channel`), gRPC (`stream`, `rpc`), HTTP/2
(`http2`, `hpack`) and etcd's messages (`schema`, `messages`). `administration` and `rights` are for who looks after it.
"""
