"""The red run: the hazard tests against a port of the controller they were written about; ``python -m tests.redrun``.

A test that cannot fail proves nothing.  ``original`` is the controller's logic, ``tables`` and ``engines`` what
stood around it, ``wire`` lets the tests speak to it, ``judge`` watches pytest, ``rows`` says what must fail.
"""
