"""The distributed init: units that people want, on machines that fit.

Pure: the values (`model`), their place in the store (`keys`, `mapper`, `fold`); where a unit can
go (`requirements`, `conflicts`, `pools`, `board`, `scheduler`), what to write next (`planner`, `planning`, `replacing`,
`actions`, `executor`, `garbage`), which machines are lost (`attendance`), why (`explain`); what an agent does
(`agent_plan`), what may be submitted (`submission`), which stops are over before a lease is (`in_touch`);
what happened (`events`, `events_derive`, `events_words`, `events_ring`); what an update does next (`rollout`,
`rollout_draft`, `rollout_health`, `rollout_standing`, `rollout_plan`, `rollout_record`).

The shell: `registry` and `rollout_desk` write what people want, `mirror` shows what is stored, `events_chronicle` with
`events_files` tells what happened; `rollout_driver` carries updates out within a term; `engine` stands for the office
and `term` holds it; `agent` with `agent_host`, `agent_content`, `agent_reports` makes a machine do its share,
`agent_touch` and `agent_desired` prepare it for losing touch; `agent_main` and `agent_server` are its daemon;
`unit_commands`, `agent_exec` and `child` run a command in a unit, in `frames`.
"""
