"""What is done to images: augmented, corrupted, cut, composed, erased, disturbed in regions."""
