"""Traces: spans as OpenTelemetry has them, and how they come to a collector. Nothing of it is imported without one."""
