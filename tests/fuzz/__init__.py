"""Attacks: foreign bytes of every kind, from documents, from seeds, guided by coverage."""
