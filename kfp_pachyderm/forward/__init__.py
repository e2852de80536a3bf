"""A port-forward through the Kubernetes API, for steps that run outside of the cluster."""
