"""Adapters: one technology each, strangers to each other; foreign exceptions are translated at the edge."""
