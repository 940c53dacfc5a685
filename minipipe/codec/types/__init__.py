"""What is done with the types of libraries, a file for each; `minipipe.codec.registry` lists them.

A file here is loaded when a class of its library, or a tag of its on the wire, is met first. It
imports the library only to make something of a message that needs it.
"""
