"""Durable AI-agent conversations: the pure domain and its shell behind ports.

Read in this order: ``task``, ``turn``, ``receive``, ``obey``, ``admission``, ``lane``, ``runtime``.  Each needs only
those before it.
"""

__version__ = "0.2.0"
