"""Transformers and their attention, whole and a few entries at a time."""
