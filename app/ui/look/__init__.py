"""Theme, icons, pictures."""
