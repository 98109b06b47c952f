"""Places that hold content: registries, bundle files, layouts."""

from airgap_shared.stores.deferral import defer

# oras imports it to check manifests that it makes itself; ours it never sees. A third of the time
# that oras takes to load.
defer("jsonschema")
