"""The command `kfp-pachyderm`."""

from kfp_pachyderm.cli.main import main

__all__ = ["main"]
