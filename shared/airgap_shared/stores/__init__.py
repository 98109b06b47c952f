"""Places that hold content: registries, bundle files, layouts."""
