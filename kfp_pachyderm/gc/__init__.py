"""What dead runs left in Pachyderm and on this machine: found, and removed."""
