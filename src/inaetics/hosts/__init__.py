"""Where hosts live: local processes for now; their system units, certificates and discovery."""
