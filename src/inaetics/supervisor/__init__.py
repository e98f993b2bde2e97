"""What runs units on one host: one protocol, and the embedded implementation (daemon, control socket, client).

`protocol` is the contract, `client` keeps it by asking the `daemon` over its socket (`server`, `wire`, `line`).

Pure: `machine` says what a service does next, with `phases`, `policy` and `values`; `ordering` who waits for whom,
`narrate` what the journal says of it, `group_files` how limits are written. `unit` does what `machine` returns,
`manager` has all units of the host, `specs` reads them.

Processes: `launcher` prepares them (`environment`, `directories`, `process_settings`), `spawn` and `fork` make them,
`processes`, `members` and `procfs` find them, `reaper` learns their ends, `cgroups` (with `hierarchies`, `shares` and
`oom`) bounds them. What must outlive the daemon is written down by `records`, `unit_texts` and `deadline`; what units
say, by `journal` within its `bounds`.
"""
