"""What the commands of `minipipe` do: pipelines of programs loaded, run, looked at; agents."""
