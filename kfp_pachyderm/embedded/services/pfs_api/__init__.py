"""pfs_v2.API."""
