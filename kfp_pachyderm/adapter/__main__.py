"""`python -m kfp_pachyderm.adapter`: the step waits for it."""

from __future__ import annotations

from kfp_pachyderm.importing import uncollected

if __name__ == "__main__":
    with uncollected():
        from kfp_pachyderm.adapter.control import main
    main()
