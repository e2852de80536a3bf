"""The decorators for components and pipelines; this room depends on kfp."""
