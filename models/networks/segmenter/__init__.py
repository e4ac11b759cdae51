"""Labels suggested for a photo."""
