"""What software each node agent gets: bundle archives, the mapping, the deployment service and its page."""
