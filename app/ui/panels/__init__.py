"""Panels and bars round the canvas."""
