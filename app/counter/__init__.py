"""The home page's counter, and the exact batches with which sites count, too."""
