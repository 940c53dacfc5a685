"""Sockets between hosts: who joins, and the connections of the links that join two of them."""
