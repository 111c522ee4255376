"""Speed beside the tools that people would use instead, on the same work."""
