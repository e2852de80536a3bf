"""The reusable components (`components/` has their component.yaml files)."""
