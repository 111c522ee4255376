"""The training report: its schema, its writer and merger, its pictures and its table."""
