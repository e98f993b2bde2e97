"""The demonstrator's bundles: producer, queue, processor, datastore, statistics, viewer."""
