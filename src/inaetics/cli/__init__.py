"""The commands inaetics, fleetctl and inaetics_fleet_manager: one file a command.

`inaetics` has its verbs for hosts in `host_commands`; its groups in modules that begin as they do: `image_commands`
names those that begin with `image_`, `bundle_commands` and `deploy_commands` are groups themselves, as are
`certificate_commands` and `etcd_commands`. `fleetctl` has its verbs in `fleetctl_commands`. `fleet_manager` stands for
the original's script; `manage` does what `scaling` planned, and `demo` goes all the way.

What they share: `common` (errors, tables, JSON), `session` (which fleet), `unit_arguments` (which units), `waiting`
with `verdicts` (how far they are), `listings`, `progress`, and modules that end in `_display` and `_work`. Other rooms
are imported inside the commands that need them, so that help and completion are quick.
"""
