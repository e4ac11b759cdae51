"""The gallery of versions."""
