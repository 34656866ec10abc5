"""Tools: what models act with.  A library is imported when its tools are first used."""
