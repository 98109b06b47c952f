"""airgap-import: from one signed file into a private registry and a rewritten overlay."""
