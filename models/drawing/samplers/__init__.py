"""Ways to draw a window, one file each."""
