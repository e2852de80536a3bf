"""`replay`: runs a KFP run, or one step of it, again from its records alone, and compares the outputs."""
