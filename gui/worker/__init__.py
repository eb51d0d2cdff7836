"""The one thread that owns the engine: commands go in, frozen snapshots come out."""
