"""What the four stages share."""
