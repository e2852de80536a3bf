#: The listen backlog: the connections that wait until the server takes them. With cheroot's own number, 5, or
#: Python's further clients wait a second each. It stands here because the adapter's process opens its socket
#: before it has loaded the server.
BACKLOG = 1024
