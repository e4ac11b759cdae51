"""Photos, label maps and layers: reading and writing."""
