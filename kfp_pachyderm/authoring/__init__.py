"""What users put around their components and pipelines; depends on kfp."""
