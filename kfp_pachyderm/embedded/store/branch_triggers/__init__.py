"""Branch triggers: branches that follow another branch under conditions."""
