"""What all programs of data preparation share."""
