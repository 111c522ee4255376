"""Make a fine-tuned model smaller and faster, and measure honestly what that costs and brings."""
