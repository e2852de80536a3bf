"""S3 clients as users' programs, run with nothing but a step's environment."""
