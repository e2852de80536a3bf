"""Starts a KFP run for each new commit of a branch, once, whatever is killed."""
