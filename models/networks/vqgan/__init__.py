"""VQGANs: pictures to codes and back."""
