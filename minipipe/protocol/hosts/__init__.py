"""Between hosts: the token that invites one, how it is let in, and the bytes of a link."""
