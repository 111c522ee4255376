"""Find and load backbones, and everything that differs by architecture."""
