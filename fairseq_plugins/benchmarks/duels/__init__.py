"""Who is measured beside whom: a file for each benchmark."""
