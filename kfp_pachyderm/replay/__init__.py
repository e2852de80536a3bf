"""`replay`: the run, or the one step, that wrote a commit, made again from its record alone, and compared."""
