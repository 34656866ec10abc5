"""Several nodes on one NATS: the bus between them, and a stream of usage events."""
