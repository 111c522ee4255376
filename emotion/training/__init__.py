"""Fine-tune a backbone and write what the run leaves."""
