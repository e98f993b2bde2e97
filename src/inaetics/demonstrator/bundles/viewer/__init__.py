"""The demonstrator's page: what every agent does, live."""
