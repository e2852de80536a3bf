"""The docs site's parts beside Sphinx: links that leave docs/, the gallery, the check of the built site."""
