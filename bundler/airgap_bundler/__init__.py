"""airgap-bundle: from manifests and registries to one signed file."""
