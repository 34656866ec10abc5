"""A model provider over loopback, for tests and demonstrations."""
