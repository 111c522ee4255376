"""The steps of compression, one module each."""
