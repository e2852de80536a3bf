"""Figures of kfp-pachyderm against its neighbours, measured in one run: `make bench`."""
