"""Whether this process is on its way out: set by the server at SIGTERM, read by /readyz."""

_draining = (
    False  # no Event: its lock, taken in a signal handler that a second signal interrupts, would never come free
)


def start_draining() -> None:
    """Fail /readyz from now on, so that a load balancer sends no more."""
    global _draining
    _draining = True


def is_draining() -> bool:
    return _draining
