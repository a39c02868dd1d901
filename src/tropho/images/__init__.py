"""From files to the arrays that models learn from: decoding, the pack, augmentation, pictures."""
