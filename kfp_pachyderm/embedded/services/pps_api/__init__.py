"""pps_v2.API."""
