"""The embedded Pachyderm: pachd and the worker pods as one process on this machine."""
