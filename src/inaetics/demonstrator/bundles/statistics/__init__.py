"""What an agent says of itself: the figures of all its bundles, offered to the viewer."""
