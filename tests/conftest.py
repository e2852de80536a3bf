"""Settings of all tests: none fails on a busy machine, or behind a script's `&`."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# a script's `&` makes its command and all below it ignore SIGINT; tests send it as a terminal does
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
