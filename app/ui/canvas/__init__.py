"""The canvas: the photo in tiles, what lies over it, and the hands on it."""
