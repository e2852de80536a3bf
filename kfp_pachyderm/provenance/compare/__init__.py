"""`diff`: what changed from one commit, or one run, to another?"""
