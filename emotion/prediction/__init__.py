"""Predict texts and CSV files, and time it."""
