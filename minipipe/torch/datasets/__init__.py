"""The loader of a dataset: DataLoader's order, seeds and batches, made by MiniPipe's workers."""
