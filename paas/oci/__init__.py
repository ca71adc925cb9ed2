"""OCI images as values: digests, descriptors, manifests, configs, chains and tar headers. Pure, no I/O."""
