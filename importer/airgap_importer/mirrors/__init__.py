"""What nodes and charts are told, so that images come from the target under their old names."""
