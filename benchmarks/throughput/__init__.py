"""Arrays through three segments, beside what else passes arrays between processes."""
