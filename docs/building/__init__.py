"""What the site needs beside Sphinx: links that leave docs/, the gallery, the check of what was built."""
