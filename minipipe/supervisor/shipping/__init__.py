"""The user's code on its way to other hosts: what is theirs, what is needed, how it is packed."""
