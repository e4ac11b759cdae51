"""Work off the GUI thread: the engine with its job queue, and short background tasks."""
