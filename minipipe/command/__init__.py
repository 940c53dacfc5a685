"""What `minipipe run`, `top` and `diagram` do: a program's pipeline loaded, run, looked at."""
