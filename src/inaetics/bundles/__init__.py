"""What software is, as values: manifests and archives of bundles, mappings, deployments, signatures, reports.

Everything here is a value or a function of values; only `archive` and `signature` touch files, and only those they are
given. Whoever makes, stores, serves or installs bundles speaks of them in these words.
"""
