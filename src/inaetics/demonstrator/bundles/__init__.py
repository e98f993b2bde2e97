"""One folder a bundle; each becomes an archive of its own that node agents install at run time."""
