"""`verify`: is a commit what its record says?"""
