"""A Pachyderm job: watched, ended, reached."""
