"""Images: decoding, checks, augmentation, views and previews."""
