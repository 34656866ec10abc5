"""Turning a request into a Caller, or refusing it."""
