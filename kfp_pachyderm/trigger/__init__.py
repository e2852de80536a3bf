"""`trigger`: starts one KFP run for each new commit of a branch."""
