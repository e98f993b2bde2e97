"""Where hosts live: local processes for now; their system units, certificates and discovery.

Values: `cluster` (what a cluster is), `paths` (where its files are), `services` and `etcd_member` (configurations),
`system_units`. What people ask for is a module each: `up` (decided by `settle`), `halt`, `kill`, `destroy`, `status`,
`doctor`, `renewal`, `etcd_care`; `lock` lets one in at a time. They work with `host_files` (the files that make a
directory a host), `boot`, `local` and `processes` (its programs), `engines` (its containers), `board`, `observe` and
`rolling` (its system units). `pki` says who has which certificate, `certificates` makes them, `rights` tells the store.
`etcd_join` and `power_switch` are programs of their own.
"""
