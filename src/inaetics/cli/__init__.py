"""The commands inaetics, fleetctl and inaetics_fleet_manager: one file a command."""
