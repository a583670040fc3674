"""What each part of the codec and of its training is worth: variants trained at equal steps, side by side."""
