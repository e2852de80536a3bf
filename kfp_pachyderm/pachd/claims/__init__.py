"""Claims: how a step gets its Pachyderm pipeline and exactly one job on its input commits."""
