"""Logs, metrics, traces, health checks."""
