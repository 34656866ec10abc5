"""Engines: what answers prompts.  A library is imported when its engine is first used."""
