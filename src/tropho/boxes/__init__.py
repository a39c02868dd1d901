"""Operations on boxes: overlap, suppression, fusion, tiles, test-time augmentation."""
