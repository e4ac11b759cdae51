"""The open photo and everything painted on it, without Qt: layers, brush, undoable steps."""
