"""Who watches: figures for Prometheus, traces for OpenTelemetry."""
