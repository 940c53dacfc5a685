"""What a user builds and runs."""
