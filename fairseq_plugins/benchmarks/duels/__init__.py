"""What is compared with what: a file for each benchmark."""
