"""The catalog: rate cards (immutable, one file each) and packages."""
