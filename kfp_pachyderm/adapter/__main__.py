"""`python -m kfp_pachyderm.adapter` runs the adapter's process. The step waits until it answers."""

from __future__ import annotations

import signal

from kfp_pachyderm.fast_import import prepare

if __name__ == "__main__":
    # a terminal sends Ctrl-C to both processes; the launcher handles it, and ends this one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare()
    from kfp_pachyderm.adapter.control.commands import main

    main()
