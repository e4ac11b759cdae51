"""What a session holds: document, undo, runs and their versions; no widgets."""
