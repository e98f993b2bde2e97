"""The distributed init: model, scheduler and planner (pure); registry, mirror, engine and agent (shell)."""
