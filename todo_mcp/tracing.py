"""OpenTelemetry traces, where its standard variables name an exporter (docs/monitoring.md); else nothing of it runs."""

import os

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def is_configured() -> bool:
    """Whether the environment names an exporter of traces. OTLP over HTTP is the one that we have."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "").strip()
    return exporter == "otlp" or (not exporter and any(os.environ.get(name) for name in _ENDPOINTS))
