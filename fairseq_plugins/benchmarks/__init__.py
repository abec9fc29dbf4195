"""Speed, measured against rivals in the same run."""
