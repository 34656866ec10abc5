"""The proof, shipped: a scripted engine and the suites that an adapter inherits."""
