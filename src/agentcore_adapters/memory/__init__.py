"""The whole behaviour in one process: for tests, for trying out, and as the model of the other stores."""
