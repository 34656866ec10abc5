"""The mutation session: no guard may be removed unnoticed; ``python -m tests.mutation``.

Law: every constraint, index, trigger, policy, condition of a statement and state guard is taken away, one at a time,
and a test must turn red.  What can be taken away is found in the sources and in the catalog of a migrated database,
so that a new guard is included without anybody remembering it.

Why an engine of our own: half of the guards are SQL, which no mutation tool for Python sees; and those tools change
every operator and every literal, thousands of mutants of which few are guards, with a cold start for each.  Here a
mutant is a fork of a warm process with a copied database, and the list is short enough to be read to its end.

Story: ``syntax`` finds guards in Python, ``tables`` in the transition table, ``predicates`` in SQL text, ``schema``
in the database; ``plants`` names the few that have no shape; ``catalog`` says which tests should notice, ``trial`` runs
them; ``redundant`` says which guards only repeat another one.
"""
