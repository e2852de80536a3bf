"""`python -m kfp_pachyderm.adapter`: the step waits for it."""

from __future__ import annotations

import signal

from kfp_pachyderm.fast_import import uncollected

if __name__ == "__main__":
    # a terminal's Ctrl-C is for the launcher
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with uncollected():
        from kfp_pachyderm.adapter.control.commands import main
    main()
